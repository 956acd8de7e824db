"""Addresses: a user's own, of which exactly one is the default. The user's row is locked while they change."""

from collections.abc import Callable
from dataclasses import fields

from orders.commands import AddAddress, DeleteAddress, EditAddress
from orders.events import AddressDeleted, AddressSaved
from orders.models import Address
from orders.models.address import SHOWN
from socialapp.accounts.models import User
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import AccountGone, Invalid, NotFound, Problem

MOST = 50


class TooManyAddresses(Problem):
    status, code, title = 409, "too_many_addresses", "There are too many addresses"


@handles(AddAddress)
def add_address(envelopes: list[Envelope], effects: Effects) -> None:
    _each(envelopes, effects, _add)


@handles(EditAddress)
def edit_address(envelopes: list[Envelope], effects: Effects) -> None:
    _each(envelopes, effects, _edit)


@handles(DeleteAddress)
def delete_address(envelopes: list[Envelope], effects: Effects) -> None:
    _each(envelopes, effects, _delete)


def _each(envelopes: list[Envelope], effects: Effects, change: Callable) -> None:
    for envelope in envelopes:
        try:
            change(envelope, effects, _locked(envelope))
        except Problem as problem:
            effects.reject(envelope, problem)


def _locked(envelope: Envelope) -> list[Address]:
    """The actor's, newest first; nobody else adds, changes or deletes one before the end of the transaction."""
    user = User.objects.select_for_update(no_key=True).filter(pk=envelope.actor_id).first()
    if user is None:
        raise AccountGone()
    return list(Address.objects.filter(user=user).order_by("-pk"))


def _add(envelope: Envelope, effects: Effects, addresses: list[Address]) -> None:
    if len(addresses) >= MOST:
        raise TooManyAddresses(f"At most {MOST}: delete one that you do not need.")
    address = Address(pk=envelope.resource_id, user_id=envelope.actor_id)
    _write_into(address, envelope.command)
    if address.is_default or not addresses:
        _make_default(address, envelope, effects, addresses)
    _save(address, envelope, effects)
    _answer_with(address, envelope, effects)


def _edit(envelope: Envelope, effects: Effects, addresses: list[Address]) -> None:
    address, command = _own(envelope, addresses), envelope.command
    if address.is_default and command.is_default is False:
        raise Invalid("Make another address the default instead.")
    _write_into(address, command)
    if command.is_default:
        _make_default(address, envelope, effects, addresses)
    _save(address, envelope, effects)
    _answer_with(address, envelope, effects)


def _delete(envelope: Envelope, effects: Effects, addresses: list[Address]) -> None:
    address = _own(envelope, addresses)
    Address.objects.filter(pk=address.pk).delete()
    event = AddressDeleted(str(address.pk), str(address.user_id))
    effects.emit(envelope, event, aggregate_id=address.pk, aggregate_version=address.sequence + 1)
    left = [other for other in addresses if other is not address]
    if address.is_default and left:
        left[0].is_default = True
        _save(left[0], envelope, effects)


def _answer_with(address: Address, envelope: Envelope, effects: Effects) -> None:
    """The commit may be the last that the primary does: the answer needs no other read."""
    effects.answer(envelope, {name: getattr(address, name) for name in SHOWN})


def _own(envelope: Envelope, addresses: list[Address]) -> Address:
    """Raises NotFound, also for somebody else's."""
    found = next((address for address in addresses if address.pk == envelope.resource_id), None)
    if found is None:
        raise NotFound("You have no such address.")
    return found


def _write_into(address: Address, command: AddAddress | EditAddress) -> None:
    for field in fields(command):
        value = getattr(command, field.name)
        if value is not None:
            setattr(address, field.name, value)


def _make_default(address: Address, envelope: Envelope, effects: Effects, addresses: list[Address]) -> None:
    """Take it from the former one first, as the index allows no two of a user at any time."""
    for other in addresses:
        if other.is_default and other is not address:
            other.is_default = False
            _save(other, envelope, effects)
    address.is_default = True


def _save(address: Address, envelope: Envelope, effects: Effects) -> None:
    address.sequence += 1
    address.save(force_insert=address.sequence == 1)
    event = AddressSaved(str(address.pk), str(address.user_id))
    effects.emit(envelope, event, aggregate_id=address.pk, aggregate_version=address.sequence)
