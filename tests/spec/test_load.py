"""Job files: what is read, what is refused, and how the refusal reads."""

from pathlib import Path

import pytest

from posedive.errors import SpecError
from posedive.spec import JOBS, Generate, Render, Train, load_job

ROOT = Path(__file__).parents[2]
SMALLEST = """\
kind: generate
dataset:
  name: embedded
output:
  uri: out/shards
"""


@pytest.fixture
def job(tmp_path):
    def write(text: str = SMALLEST) -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_job(path, overrides)
    return str(caught.value)


def generate(path: Path, *overrides: str) -> Generate:
    spec = load_job(path, overrides)
    assert isinstance(spec, Generate)
    return spec


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_job_is_valid_and_opens_like_a_lab_note(path):
    spec = load_job(path)
    model = JOBS[spec.kind]
    assert type(spec) in (model.values() if isinstance(model, dict) else (model,))
    note = path.read_text().split("\nkind:")[0]
    assert all(line.startswith("#") for line in note.splitlines())
    for word in (f"posedive {spec.kind} jobs/{path.name}", "hardware", "expect"):
        assert word in note


def test_the_demo_asks_for_256_pairs_at_64x128():
    spec = generate(ROOT / "jobs/demo.yaml")
    assert (spec.dataset.identities or 0) * spec.images_per_identity == 256
    assert spec.size == (64, 128)
    assert spec.output.uri == "out/demo"
    assert spec.output.min_shards == 32


def test_kind_picks_the_model(job):
    assert isinstance(load_job(job("kind: render\noutput: sheet.png\n")), Render)
    text = "kind: train\nwhat: vae\ndataset: {name: embedded}\nsteps: 1\noutput: out/vae\n"
    assert isinstance(load_job(job(text)), Train)


def test_an_override_wins_over_the_file_and_over_an_earlier_one(job):
    spec = generate(job(), "generator.steps=4", "size=[192, 384]", "generator.steps=5")
    assert spec.generator.steps == 5
    assert spec.size == (192, 384)


def test_numbers_in_scientific_notation_without_a_dot_are_numbers(job):
    # YAML 1.1 reads 1e-5 as text.
    text = "kind: train\nwhat: vae\ndataset: {name: embedded}\nsteps: 1\noutput: out/vae\n"
    spec = load_job(job(text), ["learning_rate=1e-5"])
    assert isinstance(spec, Train)
    assert spec.learning_rate == 1e-5


def test_a_document_reads_back_as_the_same_spec(job):
    spec = generate(job())
    assert Generate.model_validate(spec.document()) == spec


def test_the_digest_ignores_speed_and_place_but_no_result(job):
    digest = generate(job()).digest()
    for incidental in (
        "output.uri=s3://bucket/elsewhere",
        "generator.batch_size=3",
        "resources.denoise_actors=[2,4]",
    ):
        assert generate(job(), incidental).digest() == digest
    for asked in ("seed=1", "generator.steps=9", "output.min_shards=16", "generator.weights=x"):
        assert generate(job(), asked).digest() != digest


def test_a_typo_names_file_line_key_and_the_nearest_right_one(job):
    path = job(SMALLEST + "generator:\n  stepz: 4\n")
    assert refusal(path) == f"{path}:7: generator.stepz: unknown key; did you mean steps?"


def test_an_unknown_key_like_no_other_lists_the_known_ones(job):
    assert "outputs.xyz" not in refusal(job(), "output.xyzzy=1")
    assert refusal(job(), "output.xyzzy=1") == (
        "--set output.xyzzy=1: output.xyzzy: unknown key; known here: uri, min_shards"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("generator.steps=eight", "expected a whole number > 0 and <= 1000, got 'eight'"),
        ("generator.steps=0", "expected a whole number > 0 and <= 1000, got 0"),
        ("generator.steps=true", "expected a whole number > 0 and <= 1000, got True"),
        ("generator.guidance_scale=.nan", "expected a number >= 1, got nan"),
        ("generator.precision=fp61", "got 'fp61'; did you mean fp16?"),
        ("dataset.name=marktet1501", "got 'marktet1501'; did you mean market1501?"),
        ("viewpoints.focal=far", "near_orthographic or a number > 0, got 'far'"),
        ("viewpoints.elevation_deg=[40,3]", "expected [low, high], got [40.0, 3.0]"),
        ("generator.guidance_interval=[0.8,0.2]", "expected [low, high], got [0.8, 0.2]"),
        ("generator.sampler=dpm", "got 'dpm'; did you mean dpm++?"),
        ("size=[64,130]", "size.1: expected a whole number >= 16"),
        ("output.uri=gs://bucket", "expected a folder, file:///... or s3://bucket/prefix"),
        ("output.uri=null", "output.uri: expected text that is not empty, got None"),
        ("poses=embedded-jogging", "expected one of embedded, embedded-walking"),
        ("resources.denoise_actors=[4,2]", "expected [min, max], got [4, 2]"),
        ("resources.num_gpus=1.5", "expected a share of one GPU (0 to 1) or whole GPUs, got 1.5"),
        ("resources.num_gpus=4", "one actor asks for 4 GPUs, a gpu_node has 1"),
        ("output.uri=s3://key:secret@bucket", "credentials in a URI"),
        ("dataset.name=market1501", "market1501 needs root"),
        ("dataset.root=/data", "it takes no root"),
        ("dataset.boxes=labeled", "boxes is for cuhk03, not for embedded"),
        ("dataset={name: dukemtmc, root: /data}", "withdrawn by its authors"),
        ("filter=3", "expected a mapping with keys among pose_estimator"),
        (
            "kind=generat",
            "kind: expected one of render, fit, train, generate, evaluate, split, got 'generat'",
        ),
        ("generator", "expected key.path=value, as in generator.steps=4"),
        ("seed.low=3", "seed"),
        ("generator.steps=[", "no valid YAML"),
    ],
)
def test_a_wrong_value_says_expected_and_got(job, override, message):
    path = job(SMALLEST + "seed: 0\n")
    assert message in refusal(path, override)


def test_all_mistakes_are_told_at_once_each_with_its_line(job):
    path = job("kind: generate\ndataset: {name: embedded}\nsizes: [64, 128]\nseed: x\n")
    lines = refusal(path).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:4", f"{path}", f"{path}:3"]
    assert "output: missing; expected a mapping with keys among uri, min_shards" in lines[1]


def test_bad_yaml_names_its_line(job):
    path = job("kind: generate\ndataset: {name: embedded\noutput: 3\n")
    assert refusal(path).startswith(f"{path}:3:7: no valid YAML")


def test_yaml_that_would_build_objects_is_refused(job):
    path = job("kind: !!python/object/apply:os.system ['true']\n")
    assert refusal(path).startswith(f"{path}:1:7: could not determine a constructor")


def test_a_key_given_twice_is_refused(job):
    path = job(SMALLEST + "output:\n  uri: elsewhere\n")
    assert refusal(path) == f"{path}:6: output is given twice, first in line 4"


@pytest.mark.parametrize("text", ["", "# nothing\n", "- kind\n", "kind\n"])
def test_a_file_that_is_no_mapping_is_refused(job, text):
    assert "expected a mapping that begins with kind" in refusal(job(text))


def test_a_missing_kind_is_asked_for(job):
    expected = "expected kind: render | fit | train | generate | evaluate | split"
    assert expected in refusal(job("dataset: 3\n"))


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path):
    assert "no such job file" in refusal(tmp_path / "none.yaml")
    (tmp_path / "image.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    assert "can't be read as a text file" in refusal(tmp_path / "image.yaml")
    assert "can't be read" in refusal(tmp_path)


def test_conditions_belong_to_the_generator(job):
    text = "kind: train\nwhat: {}\ndataset: {{name: embedded}}\nsteps: 1\noutput: out/x\n"
    spec = load_job(job(text.format("generator")), ["conditions=[depth, normals]"])
    assert isinstance(spec, Train)
    assert spec.conditions == ("depth", "normals")
    assert "vae has none" in refusal(job(text.format("vae")), "conditions=[depth]")
    assert "each condition once" in refusal(
        job(text.format("generator")), "conditions=[depth,depth]"
    )
