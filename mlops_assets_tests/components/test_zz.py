import pytest
from mlops_assets_tests.helpers.platforms import *
from mlops_assets.use_case.platforms import *
def place(kind, w):
    if kind=="emr":
        c=w.connect("emr").run_job_flow(Name="standing", ReleaseLabel="emr-7.0.0", Instances={"KeepJobFlowAliveWhenNoSteps":True,"InstanceCount":1,"MasterInstanceType":"m5.xlarge"}, JobFlowRole="x", ServiceRole="y")["JobFlowId"]
        return Emr(cluster_id=c, bundle=BUNDLE)
    if kind=="emr_serverless":
        a=w.connect("emr-serverless").create_application(name="x", releaseLabel="emr-7.0.0", type="SPARK", clientToken="t")["applicationId"]
        return EmrServerless(application=a, role=ROLE, bundle=BUNDLE)
    if kind=="emr_containers":
        eks=boto3.client("eks", region_name=REGION); eks.create_cluster(name="eks", roleArn=ROLE, resourcesVpcConfig={})
        c=w.connect("emr-containers").create_virtual_cluster(name="x", containerProvider={"id":"eks","type":"EKS","info":{"eksInfo":{"namespace":"n"}}}, clientToken="t")["id"]
        return EmrContainers(cluster=c, role=ROLE, bundle=BUNDLE, release="emr-7.0.0-latest")
    if kind=="glue":
        w.connect("glue").create_job(Name="days", Role=ROLE, Command={"Name":"pythonshell"})
        return Glue(job="days", bundle=BUNDLE)
    if kind=="ecs":
        e=w.connect("ecs"); e.create_cluster(clusterName="c"); e.register_task_definition(family="f", containerDefinitions=[{"name":"job","image":"i","memory":512}])
        return Ecs(cluster="c", task="f", subnets=["subnet-1"])
@pytest.mark.parametrize("kind", OPERATIONS)
def test_k(kind, monkeypatch):
    with aws(monkeypatch) as w:
        asked=place(kind,w); w.calls.clear()
        r=had_done(w, asked)
        for n,p in w.calls: print(n,p)
