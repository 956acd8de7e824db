"""Request and answer bodies of accounts."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as PasswordRefused
from rest_framework import serializers

from socialapp.accounts.models import LONGEST_PASSWORD, USERNAME, User
from socialapp.accounts.reserved import is_reserved
from socialapp.cqrs.http.schemas import Schema


def _password() -> serializers.CharField:
    return serializers.CharField(
        max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True, style={"input_type": "password"}
    )


def require_strong(password: str, person: User, *, field: str) -> None:
    """Raises ValidationError for `field` when one of Django's validators refuses the password."""
    try:
        validate_password(password, person)
    except PasswordRefused as error:
        raise serializers.ValidationError({field: error.messages}, code="weak_password") from error


class Registration(Schema):
    username = serializers.RegexField(
        rf"^{USERNAME}\Z", error_messages={"invalid": "3 to 30 letters, digits or underscores."}
    )
    password = _password()
    email = serializers.EmailField(required=False, max_length=254, default="", allow_blank=True)
    name = serializers.CharField(required=False, max_length=100, default="", allow_blank=True)

    def validate_username(self, username: str) -> str:
        if is_reserved(username):
            raise serializers.ValidationError("This name is reserved: choose another one.", code="reserved")
        return username

    def validate(self, attrs: dict) -> dict:
        """The password is checked last: it may not resemble the rest."""
        person = User(username=attrs["username"], email=attrs["email"], name=attrs["name"])
        require_strong(attrs["password"], person, field="password")
        return attrs


class Credentials(Schema):
    username = serializers.CharField(max_length=30)
    password = _password()


class PasswordChange(Schema):
    """require_strong is for the view: it knows whose password it is."""

    old = _password()
    new = _password()


class EmailCheck(Schema):
    """Either an address, to ask for an email, or the token of the link in one."""

    email = serializers.EmailField(required=False, max_length=254)
    token = serializers.CharField(required=False, max_length=100)

    def validate(self, attrs: dict) -> dict:
        if len(attrs) != 1:
            raise serializers.ValidationError("Send either an email or a token.", code="one_of")
        return attrs


class EmailCheckAnswer(serializers.Serializer):
    detail = serializers.CharField()


class Refresh(Schema):
    refresh = serializers.CharField(max_length=100)


class Profile(Schema):
    name = serializers.CharField(required=False, max_length=100, allow_blank=True)
    bio = serializers.CharField(required=False, max_length=500, allow_blank=True)


class TokenPair(serializers.Serializer):
    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")


class UserAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    username = serializers.CharField()
    name = serializers.CharField()
    bio = serializers.CharField()
    avatar_url = serializers.URLField(allow_null=True)
    created_at = serializers.DateTimeField()
    follower_count = serializers.IntegerField()
    following_count = serializers.IntegerField()
    post_count = serializers.IntegerField()


class OwnUserAnswer(UserAnswer):
    email = serializers.EmailField()
    email_verified = serializers.BooleanField(help_text="Emails about orders go to verified addresses only.")
