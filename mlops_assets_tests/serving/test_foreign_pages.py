"""A page of another site, in a real browser: nothing that it asks of the API is done, and it reads nothing."""

from __future__ import annotations

from mlops_assets.workspace import Workspace
from mlops_assets_tests.helpers.browser import PATIENCE, chromium, needs_chromium, page_of_another_site
from mlops_assets_tests.helpers.served_home import YESTERDAY, Api, served, served_home

FEEDBACK = "/v1/use-cases/transactions/feedback"
CORRECTION = f"day,file,line,label,who,when\\n{YESTERDAY},transactions-0000000.csv,1,EVIL,,{YESTERDAY}T09:00:00Z\\n"
EVIL = """<!doctype html><title>tries</title><script>
const api = "%s", path = "%s", body = "%s", tries = [];
const read = (asked) => tries.push(asked.then((answer) => answer.text(), () => ""));
for (const type of ["text/csv", "application/json", "text/plain", "application/x-www-form-urlencoded"])
  for (const mode of ["cors", "no-cors"])
    for (const to of [path, "/v1/use-cases/topics/predictions"])
      read(fetch(api + to, {method: "POST", mode, body, credentials: "include", headers: {"Content-Type": type}}));
for (const mode of ["cors", "no-cors"]) read(fetch(api + "/v1/use-cases", {mode}));
</script><img src="%s/v1/use-cases"><script src="%s/v1/use-cases"></script>
<iframe name="hidden"></iframe><iframe src="%s/pages/"></iframe>
<form method="post" enctype="text/plain" action="%s%s" target="hidden"><input name="a" value="b"></form>
<script>document.forms[0].submit();
Promise.all(tries).then((texts) => document.title = "read: " + texts.join(""));</script>"""
REBOUND = (
    """async (path) => (await fetch(path, {method: "POST", body: "x", headers: {"Content-Type": "text/csv"}})).status"""
)


def evil(api: Api) -> str:
    return EVIL % (api.url, FEEDBACK, CORRECTION, api.url, api.url, api.url, api.url, FEEDBACK)


@needs_chromium
def test_a_page_of_another_site_has_nothing_done_and_reads_nothing() -> None:
    with served_home() as workspace, served(workspace) as api, page_of_another_site(evil(api)) as foreign:
        with chromium("--host-resolver-rules=MAP evil.example 127.0.0.1") as browser:
            page = browser.new_page()
            statuses: dict[str, int] = {}
            page.on("response", lambda one: statuses.update({f"{one.request.method} {one.url}": one.status}))
            page.goto(foreign, timeout=PATIENCE)
            page.wait_for_function("document.title.startsWith('read: ')")
            page.wait_for_load_state("networkidle")
            assert page.title() == "read:"
            asked = {what: status for what, status in statuses.items() if api.host in what}
            assert {f"POST {api.url}{FEEDBACK}", f"GET {api.url}/v1/use-cases"} <= asked.keys()
            assert {*asked.values()} == {403}
            # a name of theirs that leads to this machine: its pages are of the same origin, and the name is refused
            rebound = page.goto(f"http://evil.example:{api.port}/v1/use-cases", timeout=PATIENCE)
            assert rebound is not None
            assert (rebound.status, page.evaluate(REBOUND, FEEDBACK)) == (403, 403)
        assert not landed(workspace)


def landed(workspace: Workspace) -> list[str]:
    """The corrections that there are."""
    return [one.name for one in (workspace.settings.home / "raw").glob("transactions/feedback/**/*") if one.is_file()]
