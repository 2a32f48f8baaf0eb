"""Whose word is taken for the address on whose behalf a request comes."""

import pytest

from service.web.proxies import Proxies

OURS = ("10.0.0.0/8", "2001:db8:1::/48", "unix")


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "sender"),
    [
        ("192.0.2.1", None, (), "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", (), "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", OURS, "192.0.2.1"),
        ("10.1.2.3", None, OURS, "10.1.2.3"),
        ("10.1.2.3", "198.51.100.7", OURS, "198.51.100.7"),
        ("10.1.2.3", "203.0.113.9, 198.51.100.7", OURS, "198.51.100.7"),
        ("10.1.2.3", "198.51.100.7, 10.9.9.9", OURS, "198.51.100.7"),
        ("10.1.2.3", "10.8.8.8, 10.9.9.9", OURS, "10.8.8.8"),
        ("10.1.2.3", "203.0.113.9, unknown", OURS, "10.1.2.3"),
        ("10.1.2.3", "", OURS, "10.1.2.3"),
        ("10.1.2.3", "198.51.100.7," + "10.9.9.9," * 500, OURS, "10.1.2.3"),
        ("10.1.2.3", "198.51.100.7" + ", 10.9.9.9" * 500, OURS, "10.9.9.9"),
        ("", "198.51.100.7", OURS, "198.51.100.7"),
        ("", "198.51.100.7", (), ""),
        ("2001:db8:1::5", "2001:db8:77:1:2:3:4:5", OURS, "2001:db8:77:1:2:3:4:5"),
        ("2001:db8:77:1::9%canary", None, (), "2001:db8:77:1::9"),
        ("::ffff:10.1.2.3", "::ffff:198.51.100.7", OURS, "198.51.100.7"),
    ],
)
def test_the_sender_is_the_last_address_that_no_proxy_of_ours_has(peer, forwarded, proxies, sender):
    environ = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    assert Proxies(proxies).address(environ) == sender
