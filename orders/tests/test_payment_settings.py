"""Which gateway charges is said by the environment, and a process that could not charge does not start."""

import pytest

from socialapp.tests.architecture.test_deploy_checks import manage

WITHOUT = {"worker": "STRIPE_SECRET_KEY", "write": "STRIPE_WEBHOOK_SECRET"}


@pytest.mark.parametrize("role", WITHOUT)
def test_stripe_without_its_key_does_not_start(role):
    run = manage(role, "check", without=WITHOUT[role])
    assert run.returncode != 0 and WITHOUT[role] in run.stderr


def test_the_read_pool_needs_no_key():
    assert manage("read", "check", without="STRIPE_SECRET_KEY").returncode == 0


def test_a_gateway_that_there_is_not_does_not_start():
    run = manage("worker", "check", PAYMENT_GATEWAY="paypal")
    assert run.returncode != 0 and "PAYMENT_GATEWAY" in run.stderr


@pytest.mark.parametrize("role", ["write", "worker"])
def test_the_sandbox_does_not_start_in_production(role):
    run = manage(role, "check", PAYMENT_GATEWAY="sandbox")
    assert run.returncode != 0 and "PAYMENT_GATEWAY" in run.stderr
