# The project's commands. `make` alone lists them; every one first makes .venv, in milliseconds when nothing changed.

PYTHON   ?= python3
VAR      ?= var
PORT     ?= 8080
USERS    ?= 50
DURATION ?= 60s

# A port that somebody chose is asked for; otherwise a running stack keeps its own.
CHOSEN_PORT := $(if $(filter default file,$(origin PORT)),,--port "$(PORT)")

IN_VENV = VAR="$(VAR)" $(PYTHON) deploy/embedded/bootstrap.py
STACK   = @$(IN_VENV) -m deploy.embedded --var "$(VAR)" $(CHOSEN_PORT)

.DEFAULT_GOAL := help
.PHONY: help up down status logs test lint load bench chaos shell reset

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s%s\n", $$1, $$2 }'
	@echo "  Variables: PORT=8080 VAR=var (several stacks side by side), PYTHON=python3.12, ARGS=..."

up: ## Start everything, print the addresses and log-ins (again: say how it is)
	$(STACK) up

down: ## Stop everything; the data stay
	$(STACK) down

status: ## What runs, since when, and whether it is healthy
	$(STACK) status

logs: ## Follow the logs; one program's with NAME=worker-1
	$(STACK) logs $(NAME)

test: ## All tests, against real servers; ARGS="-k like -x" goes to pytest, which then runs in one process
	@$(IN_VENV) -m pytest $(or $(ARGS),--numprocesses 2 --dist loadfile)

lint: ## Style, formatting and the architecture's import directions
	@$(IN_VENV) -m ruff check .
	@$(IN_VENV) -m ruff format --check .
	@$(IN_VENV) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

load: ## Load on the running stack: USERS=50 DURATION=60s, WEB=1 for locust's page, USER_CLASS=Buyer for a flash sale
	@$(IN_VENV) -m locust -f locustfile.py --host "http://127.0.0.1:$(PORT)" \
	  $(if $(WEB),,--headless -u $(USERS) -r $(USERS) -t $(DURATION) --only-summary) $(ARGS) $(or $(USER_CLASS),Reader)

bench: ## Reads and writes against naive DRF, django-cacheops and Celery (needs wrk); ARGS="--only writes --rounds 1"
	@$(IN_VENV) -m pip install -q --disable-pip-version-check -r deploy/bench/requirements.txt
	@$(IN_VENV) -m deploy.bench --output "$(VAR)/bench" $(ARGS)

chaos: ## Kill and freeze parts of a stack of its own under load, then the long form of the read cache's proof; 25 minutes
	@$(IN_VENV) -m deploy.chaos --output "$(VAR)/chaos" $(ARGS)
	@$(IN_VENV) -m pytest -q socialapp/tests/proof --hypothesis-profile=chaos --proof-report="$(VAR)/chaos/proof.json"

shell: ## A Django shell with the running stack's environment
	@$(IN_VENV) manage.py shell $(ARGS)

reset: ## Delete all data, after asking; YES=1 does not ask, ARGS=--dry-run only tells
	$(STACK) reset $(if $(YES),--yes) $(ARGS)
