from tests.components.build import build


def test_it_measures_as_much_as_asked():
    cluster = build("ecs_cluster", "EcsCluster", container_insights="enhanced").one("Cluster").inputs
    assert cluster == {"name": "thing", "settings": [{"name": "containerInsights", "value": "enhanced"}]}
