import json, pytest
from concurrent.futures import ThreadPoolExecutor
from tests.operations.runs.deployment import Deployment
from operations.runs.journal import Stored
pytestmark=[pytest.mark.dock, pytest.mark.timeout(600)]
def test_x(dock, store, tmp_path, document):
    def one(n):
        d=Deployment(dock,tmp_path,document)
        a=d.attempt("waiting after call RunTask 1 1"); p=d.passed(); b=d.attempt(); e=d.end()
        calls=[c for c in dock.acted("ecs","RunTask") if d.environment in json.dumps(c["about"])]
        allc=[(c["operation"],c["status"],c["error"],c["acted"],round(c["time"]%1000,2)) for c in __import__("dock.calls").calls.read(dock.cloud.home.logs) if d.environment in json.dumps(c.get("about","")) or c["operation"]=="ListTasks"]
        return a,b,e,calls,p[-6:],[(x.kind.value,x.step,x.at,x.content.get("found")) for x in Stored.read(store,d.run).entries], d.passed(), allc
    with ThreadPoolExecutor(3) as pool:
        for r in pool.map(one, range(6)):
            print(r[0],r[1],r[2]['migrations'],len(r[3]))
            if r[2]['migrations']!=1:
                for x in r[3:]: print("   ",x)
