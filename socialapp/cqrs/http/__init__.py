"""The kernel's HTTP side: the role's guard, tokens in and out, problem documents, read and write views."""
