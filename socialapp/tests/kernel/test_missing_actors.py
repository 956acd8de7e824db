"""Commands of somebody whose account is not there, as after a failover that lost it: refused, and none is dead."""

import secrets

import pytest

from orders.commands import AddAddress, AddProduct, DeleteAddress, EditAddress, PlaceOrder
from posts.commands import CreateComment, CreatePost, LikePost, UnlikePost
from socialapp.accounts.commands import EditProfile, SetPassword
from socialapp.cqrs import outcomes
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import CommandResult, DeadLetter
from socialapp.cqrs.problems import AccountGone
from socialapp.cqrs.submit import submit

# Nobody waits for an account on the partition of the command: whatever was to come before has come.
PARTITION = 3


@pytest.fixture
def nobody(clean_stores):
    return new_id(PARTITION)


@pytest.fixture
def post(author, drain_all):
    post_id = new_id(PARTITION)
    submit(CreatePost("hello"), actor_id=author, resource_id=post_id)
    drain_all()
    return post_id


@pytest.fixture
def product(clean_stores):
    return execute(AddProduct(f"SKU-{secrets.token_hex(4)}", "Tea", "1.00", "EUR", stock=5), actor_id=None).resource_id


SUBMITTED = {
    "CreatePost": lambda post, nobody: (CreatePost("hello"), new_id(PARTITION)),
    "LikePost": lambda post, nobody: (LikePost(), post),
    "UnlikePost": lambda post, nobody: (UnlikePost(), post),
    "CreateComment": lambda post, nobody: (CreateComment(str(post), "hello"), new_id(PARTITION)),
    "EditProfile": lambda post, nobody: (EditProfile(name="Nobody"), nobody),
}


@pytest.mark.parametrize("name", SUBMITTED)
def test_what_was_submitted_is_rejected(nobody, post, drain_all, name):
    command, resource_id = SUBMITTED[name](post, nobody)
    accepted = submit(command, actor_id=nobody, resource_id=resource_id)
    drain_all()
    outcome = outcomes.lookup([accepted.command_id])[accepted.command_id]
    assert (outcome.status, outcome.problem["status"], outcome.problem["code"]) == ("rejected", 401, "account_gone")
    assert not DeadLetter.objects.filter(command_id=accepted.command_id).exists()


EXECUTED = {
    "PlaceOrder": lambda product, nobody: (PlaceOrder((f"{product} 1",), "sandbox", "approve"), None),
    "AddAddress": lambda product, nobody: (AddAddress("N", "L", "C", "DE"), None),
    "EditAddress": lambda product, nobody: (EditAddress(city="C"), new_id()),
    "DeleteAddress": lambda product, nobody: (DeleteAddress(), new_id()),
    "EditProfile": lambda product, nobody: (EditProfile(name="Nobody"), nobody),
    "SetPassword": lambda product, nobody: (SetPassword("!"), nobody),
}


@pytest.mark.parametrize("name", EXECUTED)
def test_what_was_executed_is_refused(nobody, product, name):
    command, resource_id = EXECUTED[name](product, nobody)
    with pytest.raises(AccountGone):
        execute(command, actor_id=nobody, resource_id=resource_id)
    applied = CommandResult.objects.filter(actor_id=nobody, outcome=CommandResult.Outcome.APPLIED)
    assert not applied.exists()
