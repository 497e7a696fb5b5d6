"""The customer of the demo: a small receiver of callbacks that checks signatures and remembers what it was told."""

from aiohttp import web

from waypost.clock import Clock
from waypost.sdk.callbacks import verify_standard


class DemoReceiver:
    """Listens on a free loopback port; `told` maps message ids to the statuses that arrived, in order."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._runner = web.AppRunner(web.Application(), access_log=None)
        self.told: dict[str, list[str]] = {}
        self.refused = 0
        self.url = ""

    async def start(self) -> None:
        """Listen."""
        self._runner.app.router.add_post("/callbacks", self._take)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/callbacks"

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not verify_standard(dict(request.headers), body, (self._secret,), now_s=Clock().now_ms() // 1000):
            self.refused += 1
            return web.Response(status=401)
        for status in (await request.json()).get("statuses", []):
            self.told.setdefault(status["id"], []).append(status["status"])
        return web.Response(text="ok")
