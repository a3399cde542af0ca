from posedive.datasets.embedded import EmbeddedWorld
from posedive.datasets.embedded.world import SPLITS
from posedive.jobs.judges import PEOPLE, images_of_others


def test_judges_learn_from_people_of_no_split_before_the_sets_cameras():
    world = EmbeddedWorld(seed=7)
    evaluated = [image for split in SPLITS for image in world.images(split)]
    learnt_from = images_of_others(EmbeddedWorld(7, PEOPLE), identities=16)
    assert len({image.pid for image in learnt_from}) == 16
    assert not {i.pid for i in learnt_from} & {i.pid for i in evaluated}
    assert {i.camid for i in learnt_from} == {i.camid for i in world.images("train")}
    assert len({i.key for i in learnt_from}) == len(learnt_from)
