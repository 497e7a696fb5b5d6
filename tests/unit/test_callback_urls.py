"""What a callback URL may look like: one rule, wherever such a URL comes in and where it is posted to."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.bodies import body, refusal
from tests.harness import TENANTS
from waypost.gateway.tenant_file import TenantFileInvalid, objects, read
from waypost.protocol.callbacks import origin_of
from waypost.protocol.rules import url_fault

NOT_ABSOLUTE = "must be an absolute http or https URL"
NO_HOST = "must have a host, and a port from 1 to 65535 if any"
NOT_PRINTABLE = "must be printable, without spaces and backslashes"
NO_CALLBACK_URLS = {
    NOT_ABSOLUTE: ["x", "/path", "ftp://a/", "http://", "http:///x", "http:a", " https://a/", "https:\\\\a/"],
    NO_HOST: [
        "https://[::1/", "https://[::1]x/", "https://[1.2.3.4]/", "https://a:99999/", "https://a:b/", "https://a:0/",
        "https://a:+80/", "https://a:８０/", "https://:80/", "https://a..b/", "https://.a/", "https://./",
        f"https://{'a' * 64}.example/", f"https://{'a.' * 126}aa/", "https://a%41b/", "https://a,b/",
        "https://0/", "https://2130706433/", "https://127.1/", "https://010.1.1.1/", "https://1.1.1.1./",
    ],
    NOT_PRINTABLE: [
        "https://a b/", "https://a/\n", "https://a/\0", "https://a/\u200b", "https://a\\@b/", "https://a/x\\y",
    ],
    "must not hold a user name or password": ["https://u@a/", "https://u:p@a/", "https://:p@a:1/", "https://@a/"],
    "must have at most 8192 characters": ["https://a/" + "x" * 8183],
}  # fmt: skip


CASES = [(url, details) for details, urls in NO_CALLBACK_URLS.items() for url in urls]


def named(value: str) -> str:
    return ascii(value[:30])


@pytest.mark.parametrize(("url", "details"), CASES, ids=named)
def test_a_callback_url_that_nothing_could_be_posted_to_is_refused(url: str, details: str) -> None:
    assert refusal(body(dr_webhook=url)) == ("$.dr_webhook", details)


URL_TEXT = st.text("aB1.:@[]%/\\#?-_~ü\u3002\0\r\n ", max_size=20)


@given(st.text() | URL_TEXT.map("http://{}".format) | URL_TEXT.map("https://{}/hook?x@y".format))
def test_a_callback_url_that_is_taken_leads_somewhere(url: str) -> None:
    if url_fault(url) is None:
        assert origin_of(url)
        host = URL(url).raw_host or ""
        assert ip_address(host) if ":" in host else host.encode("idna"), "what the look-up of names begins with"


@pytest.mark.parametrize(("url", "details"), CASES, ids=named)
def test_the_tenant_file_takes_no_other_webhook_than_a_message(url: str, details: str) -> None:
    tables = read(TENANTS, {})
    tables["accounts"][0]["applications"][0]["webhook"] = url
    with pytest.raises(TenantFileInvalid) as caught:
        objects(tables)
    assert str(caught.value) == f"application f543ertg: webhook {details}"
