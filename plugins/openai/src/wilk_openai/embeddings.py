"""Vectors by a model behind ``POST /embeddings``: requests of bounded size, and answers that are checked."""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from wilk import Invalid, SettingsError
from wilk_openai.client import Client, EndpointError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from wilk_openai.options import Options

PATH = "embeddings"
PROBE = "a text that no model has a reason to refuse"
NOTHING = "-"
"""What is sent of a text in which there is nothing: servers refuse empty ones."""

_BYTES_OF_A_VECTOR = 120_000  # of 4,096 numbers as JSON, each with its 17 digits and more
_SHOWN, _LOOKED_AT = 300, 100_000  # characters of an answer in an error
_REFUSED = frozenset({400, 422})
_TOO_LARGE = 413
_ABOUT_SIZE = re.compile(r"token|context.?length|too (?:large|long|many)|maximum", re.IGNORECASE)
_ID = re.compile(r"(?P<name>.+?)(?:@(?P<dimensions>\d{1,5}))?(?:\?q=(?P<query>[^&]*)&p=(?P<passage>[^&]*))?")


class Embeddings:
    """The model of one id; any thread may use it. Whatever changes vectors is part of the id."""

    def __init__(self, options: Options, model: str | None = None) -> None:
        configured = model_id(options) if options.embedding_model else None
        if model is None and configured is None:
            raise SettingsError(
                "plugins.openai.embedding_model: name the model that makes the vectors, such as "
                "text-embedding-3-small"
            )
        if model is not None and model != configured:
            options = of_id(options, model)
        self._options = replace(
            options,
            url=options.embedding_url or options.url,
            # The key of one endpoint is never sent to another one.
            key_variable=options.embedding_key_variable
            or ("" if options.embedding_url else options.key_variable),
        )
        self.model = model_id(options)
        self.batch = options.embedding_batch
        self.longest = options.embedding_longest
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._dimension = options.dimensions
        self._format = "base64"  # a third of the bytes of JSON numbers; see _probe
        self._answered = False

    def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[float32]:
        """Return a vector per text.

        Raises Invalid when the endpoint refuses the texts as such, and BackendError for anything else.
        """
        import numpy as np

        prefix = self._options.query_prefix if query else self._options.passage_prefix
        end = time.monotonic() + self._options.query_timeout if query else None
        sound = [prefix + _sound(text[: self.longest]) for text in texts]
        client = self._open()  # one for all requests: when it is closed, no further one is sent
        vectors = [vector for part in self._requests(sound) for vector in self._asked(client, part, end)]
        return (
            np.array(vectors, dtype=np.float32)
            if vectors
            else np.empty((0, self._dimension or 0), np.float32)
        )

    def close(self) -> None:
        """Close the connections. What other threads ask for just now ends in an error."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    # -- requests -------------------------------------------------------------------------

    def _requests(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Part texts into requests: at most so many, and so many characters."""
        part: list[str] = []
        size = 0
        for text in texts:
            if part and (len(part) == self.batch or size + len(text) > self._options.embedding_characters):
                yield part
                part, size = [], 0
            part.append(text)
            size += len(text)
        if part:
            yield part

    def _asked(self, client: Client, texts: Sequence[str], end: float | None) -> list[NDArray[float32]]:
        """The vectors of one request, or of two halves where the endpoint finds it too large."""
        try:
            return self._post(client, texts, end)
        except EndpointError as error:
            if error.status != _TOO_LARGE and error.status not in _REFUSED:
                raise
            too_large = error.status == _TOO_LARGE or bool(_ABOUT_SIZE.search(str(error)))
            if error.status in _REFUSED and not self._answered and self._probe(client, end):
                return self._asked(client, texts, end)  # it was the form of the answer that was refused
            if not too_large or len(texts) == 1:
                raise Invalid(str(error)) from None
        middle = len(texts) // 2
        return [*self._asked(client, texts[:middle], end), *self._asked(client, texts[middle:], end)]

    def _probe(self, client: Client, end: float | None) -> bool:
        """Find out whether a refusal is about the texts; True when another form of answer is to be asked for.

        A model that there is not, or parameters that it does not take, are refused like a bad text. So
        before the first text is held to be at fault, one is sent that cannot be. Raises EndpointError
        when that is refused as well.
        """
        try:
            self._post(client, [PROBE], end)
        except EndpointError as error:
            if error.status not in _REFUSED or self._format == "float":
                raise
            self._format = "float"
            try:
                self._post(client, [PROBE], end)
            except EndpointError:
                self._format = "base64"
                raise error from None
            return True
        return False

    def _post(self, client: Client, texts: Sequence[str], end: float | None) -> list[NDArray[float32]]:
        options = self._options
        body: dict[str, Any] = {
            "model": options.embedding_model,
            "input": list(texts),
            "encoding_format": self._format,
        }
        if options.dimensions is not None:
            body["dimensions"] = options.dimensions
        answer = client.post(PATH, body, within=None if end is None else end - time.monotonic())
        try:
            vectors = vectors_of(answer, len(texts))
        except ValueError as error:
            told = client.without_key(str(error))  # before it is cut: a piece of a key would not be known
            raise EndpointError(f"{options.url}: {told[:_SHOWN]}") from None
        self._check_dimension(len(vectors[0]))
        self._answered = True
        return vectors

    def _check_dimension(self, found: int) -> None:
        with self._lock:
            if self._dimension is None:
                self._dimension = found
        if self._dimension != found:
            hint = "; leave out `dimensions` if the model knows one alone" if self._options.dimensions else ""
            raise EndpointError(
                f"{self._options.url}: vectors of {found} numbers, where those of {self.model!r} have "
                f"{self._dimension}{hint}"
            )

    def _open(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = Client(self._options, largest=self.batch * _BYTES_OF_A_VECTOR)
            return self._client


def model_id(options: Options) -> str:
    """What is kept with vectors: the model, its dimensions, and the prefixes, where these are set."""
    id = options.embedding_model
    if options.dimensions is not None:
        id += f"@{options.dimensions}"
    if options.query_prefix or options.passage_prefix:
        id += f"?q={quote(options.query_prefix, safe='')}&p={quote(options.passage_prefix, safe='')}"
    return id


def of_id(options: Options, id: str) -> Options:
    """The options with which an id was made, so that vectors of an earlier model can be searched."""
    found = _ID.fullmatch(id)
    if found is None:
        raise SettingsError(f"the embedder 'openai' has no model {id!r}")
    return replace(
        options,
        embedding_model=found["name"],
        dimensions=int(found["dimensions"]) if found["dimensions"] else None,
        query_prefix=unquote(found["query"] or ""),
        passage_prefix=unquote(found["passage"] or ""),
    )


def vectors_of(answer: Any, count: int) -> list[NDArray[float32]]:
    """The vectors in an answer, in the order of the texts; raises ValueError for one that cannot be right."""
    import numpy as np

    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, list) or not all(isinstance(one, Mapping) for one in data):
        raise ValueError(f"an answer without data: {_shown(answer)}")
    if len(data) != count:
        raise ValueError(f"{len(data)} vectors for {count} texts")
    places = [one.get("index") for one in data]
    if any(place is not None for place in places):
        if sorted(place for place in places if isinstance(place, int)) != list(range(count)):
            raise ValueError(f"vectors of the texts {places} instead of 0 to {count - 1}")
        data = sorted(data, key=lambda one: int(one["index"]))
    vectors = [_vector(one.get("embedding")) for one in data]
    if len({len(vector) for vector in vectors}) > 1:
        raise ValueError("vectors of several dimensions in one answer")
    if not all(np.isfinite(vector).all() for vector in vectors):
        raise ValueError("vectors with numbers that are not finite")
    return vectors


def _vector(value: Any) -> NDArray[float32]:
    """One vector, sent as numbers or as base64 of little-endian float32."""
    import numpy as np

    try:
        if isinstance(value, str):
            vector = np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
        else:
            with np.errstate(over="ignore"):  # infinite, and found to be so
                vector = np.array(value, dtype=np.float32)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise ValueError(f"no vector: {_shown(value)}") from None
    if vector.ndim != 1 or not len(vector):
        raise ValueError(f"no vector: {_shown(value)}")
    return vector


def _shown(value: Any) -> str:
    return str(value)[:_LOOKED_AT]


def _sound(text: str) -> str:
    """What can be sent: without NUL and lone surrogates, and never nothing."""
    clean = text.replace("\0", " ").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return clean if clean.strip() else NOTHING
