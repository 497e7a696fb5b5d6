"""Media: upload, metadata, download with the token, deletion, ownership, expiry."""

import hashlib
import io

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.conftest import PHONE, TO, WABA, Meta
from waypost.simulator.errors import GraphError
from waypost.simulator.media import multipart_parts

TOKEN = {"Authorization": "Bearer token"}


async def upload(meta: Meta, content: bytes, mime_type: str, **fields: str) -> tuple[int, dict[str, object]]:
    form = aiohttp.FormData({"messaging_product": "whatsapp"} | fields)
    form.add_field("file", io.BytesIO(content), filename="файл.bin", content_type=mime_type)
    url = f"{meta.simulator.url}/v23.0/{PHONE}/media"
    async with meta.http.post(url, data=form, headers=TOKEN) as answer:
        return answer.status, await answer.json()


async def test_a_file_is_uploaded_described_downloaded_sent_and_deleted(sim_meta: Meta) -> None:
    await sim_meta.config(mode="strict", wabas=[{"waba_id": WABA, "phones": [{"id": PHONE}, {"id": "222"}]}])
    content = bytes(range(256)) * 40 + b"\r\n--not the end\r\n"
    status, uploaded = await upload(sim_meta, content, "image/png")
    assert status == 200
    media_id = uploaded["id"]
    _, described, _ = await sim_meta.graph("GET", f"/v23.0/{media_id}")
    assert (described["mime_type"], described["file_size"]) == ("image/png", len(content))
    assert described["sha256"] == hashlib.sha256(content).hexdigest()
    async with sim_meta.http.get(described["url"], headers=TOKEN) as answer:
        assert (answer.status, await answer.read(), answer.content_type) == (200, content, "image/png")
    async with sim_meta.http.get(described["url"]) as answer:
        assert answer.status == 401
    image = {"messaging_product": "whatsapp", "to": TO, "type": "image", "image": {"id": media_id}}
    await sim_meta.accepted(image)
    assert (await sim_meta.refused(image, phone="222"))[0] == 131009
    _, wrong, _ = await sim_meta.graph("GET", f"/v23.0/{media_id}?phone_number_id=222")
    assert wrong["error"]["error_subcode"] == 33
    assert (await sim_meta.graph("DELETE", f"/v23.0/{media_id}"))[1] == {"success": True}
    assert (await sim_meta.graph("GET", f"/v23.0/{media_id}"))[1]["error"]["code"] == 100


async def test_a_link_lives_five_minutes_and_a_file_thirty_days(sim_meta: Meta) -> None:
    _, uploaded = await upload(sim_meta, b"x", "application/octet-stream", type="text/plain")
    media = f"/v23.0/{uploaded['id']}"
    _, described, _ = await sim_meta.graph("GET", media)
    assert described["mime_type"] == "text/plain"
    await sim_meta.control("POST", "clock", {"advance_s": 301})
    async with sim_meta.http.get(described["url"], headers=TOKEN) as answer:
        assert answer.status == 404
    _, described, _ = await sim_meta.graph("GET", media)
    async with sim_meta.http.get(described["url"] + "x", headers=TOKEN) as answer:
        assert answer.status == 404
    await sim_meta.control("POST", "clock", {"advance_s": 30 * 24 * 3600})
    async with sim_meta.http.get(described["url"], headers=TOKEN) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("content", "mime_type", "fields", "text"),
    [
        (b"x", "application/zip", {}, "must be a file with one of the supported types"),
        (b"", "image/png", {}, "has 0 bytes"),
        (b"x" * ((5 << 20) + 1), "image/png", {}, "5242881 bytes; 1 to 5242880 are allowed"),
        (b"x", "image/png", {"messaging_product": "sms"}, "messaging_product is required"),
    ],
    ids=["type", "empty", "size", "product"],
)
async def test_an_upload_that_breaks_a_rule_is_refused(
    content: bytes, mime_type: str, fields: dict[str, str], text: str, sim_meta: Meta
) -> None:
    status, answer = await upload(sim_meta, content, mime_type, **fields)
    error = answer["error"]
    assert isinstance(error, dict)
    assert (status, error["code"], text in error["error_data"]["details"]) == (400, 100, True)


async def test_an_upload_that_is_no_form_is_refused(sim_meta: Meta) -> None:
    _, answer, _ = await sim_meta.graph("POST", f"/v23.0/{PHONE}/media", {"messaging_product": "whatsapp"})
    assert answer["error"]["error_data"]["details"] == "The request body must be multipart/form-data."


@given(content=st.binary(max_size=300), name=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1))
def test_any_bytes_survive_a_form(content: bytes, name: str) -> None:
    boundary = b"----8d2f61b0"
    head = f'Content-Disposition: form-data; name="{name}"; filename="a b"\r\nContent-Type: image/png'.encode()
    body = b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n--" + boundary + b"--\r\n"
    parts = multipart_parts(f"multipart/form-data; boundary={boundary.decode()}", body)
    assert parts == {name: ("image/png", content)}


@given(body=st.binary(max_size=300), content_type=st.text(max_size=40) | st.just("multipart/form-data; boundary=x"))
def test_any_form_is_parts_or_a_refusal(body: bytes, content_type: str) -> None:
    refusal = None
    try:
        multipart_parts(content_type.replace("\n", "").replace("\r", ""), body)
    except GraphError as error:
        refusal = error
    assert refusal is None or refusal.code == 100
