"""What LibreChat keeps that is secret: taken out of documents before anything else sees them.

What is taken out is counted by its path (``actions.metadata.api_key``), and its content goes nowhere: into
no record, no warning, no error and no log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wilk.definitions.redaction import MARK, hide, names_secret

Lost = Callable[[str], None]

NEVER = frozenset({"keys", "tokens", "sessions", "pluginauths", "logins"})
"""Collections that are nothing but secrets: users' API keys, tokens, logins, credentials of plugins."""

_USER_FIELDS = frozenset(
    [
        "_id", "__v", "name", "username", "email", "emailVerified", "avatar", "provider", "role", "googleId",
        "facebookId", "openidId", "openidIssuer", "samlId", "ldapId", "githubId", "discordId", "appleId",
        "plugins", "twoFactorEnabled", "twoFactorEnrolledAt", "expiresAt", "termsAccepted",
        "termsAcceptedAt", "personalization", "favorites", "skillStates", "idOnTheSource", "tenantId",
        "createdAt", "updatedAt",
    ]
)  # fmt: skip
"""The fields of a user that are known to be none; of a user nothing else comes over."""

_ACTION_FIELDS = frozenset({"domain", "privacy_policy_url", "raw_spec", "auth"})
_AUTH_FIELDS = frozenset(
    {"type", "authorization_type", "authorization_content_type", "authorization_url", "client_url", "scope",
     "token_exchange_method"}
)  # fmt: skip
_SERVER_FIELDS = frozenset({"env", "headers", "oauth", "oauth_headers", "customUserVars", "apiKey"})
_EXAMPLES = ("default", "example", "examples", "const", "enum")
_DEEPEST = 200
_REMOVED = "$REMOVED"


def without(value: Any, path: str, lost: Lost, *, names: bool = True, depth: int = 0) -> Any:
    """A value without what stands under telling names, and without logins and keys in URLs.

    With ``names`` False the keys of ``value`` itself are not looked at, only what is below.
    """
    if isinstance(value, str):
        return _text(value, path, lost)
    if depth > _DEEPEST:
        lost(path)
        return None
    if isinstance(value, Mapping):
        made = {}
        for key, item in value.items():
            inner = f"{path}.{key}"
            if names and names_secret(key) and item is not None and not isinstance(item, bool):
                lost(inner)
            else:
                made[key] = without(item, inner, lost, depth=depth + 1)
        return made
    if isinstance(value, list):
        return [without(item, path, lost, depth=depth + 1) for item in value]
    return value


def user(document: Mapping[str, Any], lost: Lost) -> dict[str, Any]:
    """A user without password, tokens, codes, and whatever else is not known to be harmless."""
    made = {}
    for name, value in document.items():
        if name in _USER_FIELDS:
            made[name] = without(value, f"users.{name}", lost)
        else:
            lost(f"users.{name}")
    return made


def action(document: Mapping[str, Any], lost: Lost) -> dict[str, Any]:
    """An action without its keys: what LibreChat encrypts, and what may stand beside it."""
    made = {}
    for name, value in document.items():
        path = f"actions.{name}"
        if name == "metadata" and isinstance(value, Mapping):
            made[name] = _chosen(value, _ACTION_FIELDS, path, lost)
            if isinstance(auth := made[name].get("auth"), Mapping):
                made[name]["auth"] = _chosen(auth, _AUTH_FIELDS, f"{path}.auth", lost)
            elif made[name].get("auth") is not None:
                lost(f"{path}.auth")
                del made[name]["auth"]
            if (spec := made[name].get("raw_spec")) is not None:
                del made[name]["raw_spec"]
                if (clean := specification(spec, f"{path}.raw_spec", lost)) is not None:
                    made[name]["raw_spec"] = clean
            made[name] = {
                key: item if key in ("raw_spec", "auth") else without(item, f"{path}.{key}", lost)
                for key, item in made[name].items()
            }
            if isinstance(auth := made[name].get("auth"), Mapping):
                made[name]["auth"] = without(auth, f"{path}.auth", lost, names=False)
        elif name == "metadata":
            lost(path)
        else:
            made[name] = without({name: value}, "actions", lost).get(name)
            if made[name] is None and value is not None:
                del made[name]
    return made


def server(document: Mapping[str, Any], lost: Lost) -> dict[str, Any]:
    """An MCP server without what it logs in with."""

    def bare(value: Any, path: str, depth: int = 0) -> Any:
        if not isinstance(value, Mapping) or depth > _DEEPEST:
            return value
        made = {}
        for key, item in value.items():
            if key in (*_SERVER_FIELDS, "args") and item:
                lost(f"{path}.{key}")
            else:
                made[key] = bare(item, f"{path}.{key}", depth + 1)
        return made

    made: dict[str, Any] = without(bare(document, "mcpservers"), "mcpservers", lost)
    return made


def specification(spec: Any, path: str, lost: Lost) -> Any:
    """An OpenAPI text without keys that somebody wrote into it; one that cannot be read is left out."""
    if not isinstance(spec, str):
        lost(path)
        return None
    parsed = _parsed(spec)
    if not isinstance(parsed, Mapping):
        lost(path)
        return None
    found: list[str] = []
    clean = _bare(parsed, found, 0)
    if not found:
        return spec
    lost(f"{path} (keys within it)")
    from wilk import codec

    return codec.pretty(clean)


def _parsed(spec: str) -> Any:
    from wilk import codec
    from wilk.errors import WilkError

    if len(spec) > 5_000_000:
        return None
    try:
        return codec.parse(spec)
    except WilkError:
        pass
    from wilk.definitions import reader

    try:
        return reader.parse(spec.encode(errors="surrogatepass"), "raw_spec")
    except (WilkError, ValueError):
        return None


def _bare(value: Any, found: list[str], depth: int) -> Any:
    """A part of an OpenAPI document: schemas keep their form, what they show as an example goes."""
    if depth > _DEEPEST:
        found.append("")
        return None
    if isinstance(value, str):
        return _text(value, "", found.append)
    if isinstance(value, list):
        return [_bare(item, found, depth + 1) for item in value]
    if not isinstance(value, Mapping):
        return value
    if names_secret(value.get("name")) or str(value.get("in")) in ("header", "cookie"):
        value = _without_examples(value, found, 0)
    made = {}
    for key, item in value.items():
        if not names_secret(key):
            made[key] = _bare(item, found, depth + 1)
        elif isinstance(item, Mapping):
            made[key] = _bare(_without_examples(item, found, 0), found, depth + 1)
        elif item is None or isinstance(item, bool):
            made[key] = item
        else:
            found.append("")
    return made


def _without_examples(value: Any, found: list[str], depth: int) -> Any:
    if isinstance(value, list):
        return [_without_examples(item, found, depth + 1) for item in value]
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return value
    made = {}
    for key, item in value.items():
        if key in _EXAMPLES or (key == "value" and isinstance(item, str)):
            found.append("")
        else:
            made[key] = _without_examples(item, found, depth + 1)
    return made


def _chosen(value: Mapping[str, Any], known: frozenset[str], path: str, lost: Lost) -> dict[str, Any]:
    for name in value:
        if name not in known:
            lost(f"{path}.{name}")
    return {name: item for name, item in value.items() if name in known}


def _text(value: str, path: str, lost: Lost) -> str:
    if "://" not in value and "?" not in value:
        return value
    shown = hide(value)
    if shown == value:
        return value
    lost(f"{path} (a login or key in the address)")
    # A reference is no secret, so that what is taken over again is not found again.
    return str(shown).replace(MARK, _REMOVED)
