"""Events before they are stored: nobody's name or address is kept, groups are normalised, absent attributes get proxies."""

import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from fairlens_backend import (
    config,
    count_keeper,
    dead_letter_box,
    letter_sealer,
    privacy_keeper,
    proxy_tables,
    security_utils,
)
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.errors import FairLensError, InvalidInput
from fairlens_backend.prediction_ingest import Sender, add_labels, ingest
from fairlens_backend.storage import dead_letters, event_details, session, tables
from fairlens_backend.storage.event_details import Details
from fairlens_backend.storage.session import read_snapshot
from tests.ingest_kit import NOW, SENDER, day_window, event, register, send

NAME, MAIL, PHONE, SSN, CARD = (
    "Zebulon Quuxley", "zed.quux@planted.example", "(212) 555-0147", "536-22-8714", "4111-1111-1111-1111",
)  # fmt: skip
PLANTED = (
    "zebulon", "quuxley", "planted.example", "zed.quux", "555-0147", "5550147", "536-22-8714", "536228714",
    "4111-1111", "41111111",
)  # fmt: skip


@pytest.fixture(autouse=True)
def model(make_settings: Any, database: None) -> None:
    """The model `hiring`, registered, with every line of the log written."""
    config.use(make_settings(LOG_LEVEL="debug"))
    register(normalise_groups=True, group_definitions={})


def groups(model: str = "hiring") -> list[tuple[str, ...]]:
    """The groups that are counted."""
    return list(count_keeper.window_table("acme", model, *day_window(), attributes=["sex", "age"]).groups)


def kept_details() -> list[Details]:
    """The details of all batches."""
    with read_snapshot() as found:
        ids = list(found.scalars(select(tables.event_tables.EventBatch.id)))
        return [one for _, one in event_details.read(ids)]


def everything_kept() -> str:
    """All rows of all tables, with what is compressed or encrypted in them in the clear."""
    parts = [repr(vars(one)) for one in kept_details()]
    with read_snapshot() as found:
        for table in tables.Base.metadata.sorted_tables:
            parts += [repr(tuple(row)) for row in found.execute(select(table))]
        letters = list(found.scalars(select(tables.event_tables.DeadLetter.encrypted_event)))
    parts += [security_utils.decrypt_text(one) for one in letters]
    if not session.is_postgresql():
        files = config.current().data_path.glob("fairlens.db*")
        parts += [file.read_bytes().decode("latin-1") for file in files]
    return "\n".join(parts)


def assert_nothing_of(text: str) -> None:
    """None of what was planted, however it is written."""
    low = text.casefold()
    for one in PLANTED:
        assert one not in low, (one, low[max(0, low.index(one) - 200) : low.index(one) + 100])


def planted(chance: random.Random) -> Any:
    """A value with something personal in it, in one of many places."""
    text = chance.choice(
        [
            MAIL,
            PHONE,
            SSN,
            CARD,
            f"write to {MAIL} or call {PHONE}",
            f"{NAME} called",
            f"Mr. {NAME}",
            f"ssn {SSN}",
            f"card {CARD}",
        ]
    )
    return chance.choice(
        [
            text,
            [text, 1],
            {"inner": {"deep": [text]}},
            {text: 1},
            {"full_name": NAME, "note": [f"as {NAME} said"]},
        ]
    )


def bad_bodies(chance: random.Random, number: int) -> list[Any]:
    """Events with something personal in every place that one has; each field of a name gives the name away."""
    named = {"first_name": NAME.split(" ", 1)[0], "surname": NAME.split()[1], "applicant_name": NAME}
    base = event(f"ok-{number}", features={**named, "a": planted(chance), "phone": PHONE, "ssn": SSN})
    deep: Any = MAIL
    for _ in range(40):
        deep = [deep]
    return [
        base,
        {**base, "event_id": f"{MAIL}-{number}"},
        {**base, "event_id": f"{number}-{PHONE}"},
        {**base, "event_id": f"t{number}", "demographic_tags": {"sex": planted(chance), "age": 41}},
        {
            **base,
            "event_id": f"u{number}",
            "demographic_tags": {"sex": f"{NAME}", MAIL: "x", "note": f"by {NAME}"},
        },
        {**base, "event_id": f"v{number}", "prediction": {"label": f"yes {MAIL}", "score": 0.5}},
        {**base, "event_id": f"w{number}", "ground_truth": MAIL},
        {**base, "event_id": f"x{number}", MAIL: NAME},
        {**base, "event_id": f"y{number}", "prediction": {"label": MAIL, "score": MAIL}},
        {**base, "event_id": f"z{number}", "session_context": {"tenant_id": MAIL}},
        {**base, "event_id": f"q{number}", "session_context": {"use_case": MAIL}},
        {"event_id": f"i{number}", "model_id": "hiring", "prediction": {"label": "yes", "who": NAME}},
        {**event(f"j{number}"), "session_context": {NAME: 1, "by": [{"x": NAME}]}},
        {**base, "event_id": f"d{number}", "features": {**named, "deep": deep, "note": f"ask {NAME}"}},
        {
            **base,
            "event_id": f"l{number}",
            "features": {**named, "long": f"{NAME} {MAIL} " * 3000, MAIL: deep},
        },
        {**base, "event_id": f"m{number}", "model_id": f"{MAIL}"},
        {**base, "event_id": f"n{number}", "model_id": "2125550147"},
        {**base, "event_id": f"s{number}", "timestamp": MAIL},
        {"event_id": MAIL, "notes": NAME, "name": NAME},
        MAIL,
        [NAME, {"name": NAME}],
    ]


def tried(call: Callable[[], Any]) -> str:
    """What a call answers or is refused with."""
    try:
        answer = call()
    except FairLensError as error:
        return f"{error.message} {error.details}"
    if "event_ids" in answer:
        answer = {**answer, "event_ids": None}  # the caller's own, told to the caller
    return json.dumps(answer)


@pytest.mark.parametrize("seed", range(6))
def test_nobodys_data_is_kept_logged_or_answered(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Planted in every place of good and bad events, in rows and columns: not in the database, the log, or an answer."""
    chance = random.Random(seed)
    said = []
    for number in range(4):
        bodies = bad_bodies(chance, number)
        chance.shuffle(bodies)
        said.append(tried(lambda bodies=bodies: send(bodies)))
        said += [tried(lambda one=one: send(one)) for one in bodies[:4]]
        n = 5
        table = {
            "model_id": "hiring", "event_id": [f"c{seed}-{number}-{i}-{MAIL}" for i in range(n)], "label": ["yes", MAIL, "no", 1, NAME],
            "score": [0.5, chance.choice([0.1, MAIL]), None, 2, 0.1],
            "features": {"full_name": [NAME] * n, "x": [planted(chance) for _ in range(n)], MAIL: [PHONE] * n},
            "demographic_tags": {"sex": [f"hello {NAME}", MAIL, SSN, "F", None], "who": [f"by {NAME}"] * n},
        }  # fmt: skip
        said += [tried(lambda table=table: send(table)), tried(lambda table=table: send({**table, MAIL: 1}))]
        said.append(tried(lambda table=table: send({**table, "features": {MAIL: [1]}})))
        said.append(tried(lambda table=table: send({**table, "features": {MAIL: NAME}, "score": [MAIL] * 5})))
    for raw in (
        b"[" + MAIL.encode(),
        f'{{"{MAIL}": "{NAME}"}}'.encode(),
        f'[{{"event_id": "{NAME}'.encode(),
        b"\xff" + NAME.encode(),
    ):
        said += [
            tried(lambda raw=raw: ingest(SENDER, raw, NOW)),
            tried(lambda raw=raw: add_labels(SENDER, raw, NOW)),
        ]
    assert_nothing_of("\n".join(said))
    assert_nothing_of(everything_kept())
    out = capsys.readouterr()
    assert "EVENTS_REFUSED" in out.err
    assert_nothing_of(out.err + out.out)
    with read_snapshot():
        assert len(dead_letters.page("acme", 1000)) > 20


def test_the_same_value_is_the_same_token_within_a_tenant() -> None:
    """In whatever field and spelling; another tenant's is another; the tenant's key opens it."""
    register(tenant="other")
    for sender in (SENDER, Sender("other", "x")):
        send(
            [
                event(
                    "e1", features={"email": MAIL, "note": f"To: {MAIL.upper()}", "contact": {"mail": [MAIL]}}
                )
            ],
            sender,
        )
    acme, other = (one.features for one in kept_details())
    token = acme["email"][0]
    assert acme["note"][0] == f"To: {token}" and acme["contact"][0]["mail"] == [token]
    assert other["email"][0] != token and other["email"][0].startswith("tok_email_")
    assert PiiTokeniser(security_utils.token_key("acme", 1)).detokenise(token) == MAIL
    with pytest.raises(InvalidInput):
        PiiTokeniser(security_utils.token_key("other", 1)).detokenise(token)


def test_what_is_kept_of_an_event() -> None:
    """Features, tags, id, threshold and use case of exactly the events that are new, each with its own."""
    first = event(
        "a",
        features={"x": 1, "y": "p"},
        prediction={"label": "yes", "threshold": 0.4},
        session_context={"use_case": "hiring"},
    )
    send([first, event("b", features={"x": 2, "y": "q"})])
    send(
        [
            event("a", features={"x": 9, "y": "z"}),
            event("c", features={"other": [1, {"k": None}]}),
            event("d", score=1),
        ]
    )
    kept = kept_details()
    assert [list(one.event_id) for one in kept] == [["a", "b"], ["c"]]
    assert kept[0].features == {"x": [1, 2], "y": ["p", "q"]} and kept[0].tags == {
        "sex": ["F", "F"],
        "age": [41, 41],
    }
    assert kept[0].threshold == [0.4, None] and kept[0].use_case == ["hiring", None]
    assert event_details.column(kept[1], "other") == [[1, {"k": None}]] and event_details.column(
        kept[1], "x"
    ) == [None]


def test_what_cannot_be_tokenised_is_a_dead_letter() -> None:
    """Its error has the path alone; what could be tokenised is there, what could not is left out; a mended one is taken."""
    deep: Any = "x"
    for _ in range(30):
        deep = [deep]
    answer = send([event("good"), event("bad", features={"mail": MAIL, "deep": deep, "plain": 5})])
    assert answer["event_ids"] == ["good"]
    error = answer["rejected"][0]["errors"][0]
    assert error["field"].startswith("features.deep.0.0") and "16 levels" in error["message"]
    with read_snapshot():
        letter = dead_letters.page("acme", 10)[0]
    kept, _ = letter_sealer.open_letter(letter.encrypted_event)
    assert kept["features"]["plain"] == 5 and kept["features"]["mail"].startswith("tok_email_")
    assert letter_sealer.REMOVED in json.dumps(kept)
    kept["features"].pop("deep")
    assert dead_letter_box.replay(SENDER, letter.id, kept, NOW)["queued"] == 1


def test_a_replayed_letter_is_the_event_that_was_sent() -> None:
    """An id that is a token now is still the id: labels find it, and the same event again is a duplicate."""
    send([event("ok"), event(MAIL, model_id="lending")])
    register("lending")
    with read_snapshot():
        letter = dead_letters.page("acme", 10)[0]
    assert dead_letter_box.replay(SENDER, letter.id, None, NOW)["queued"] == 1
    assert send(event(MAIL, model_id="lending"))["duplicates"] == 1
    body = json.dumps({"labels": [{"event_id": MAIL, "label": "good"}]}).encode()
    assert add_labels(SENDER, body, NOW)["joined"] == 1


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (None, ("Female", "Male")),
        ("Male", ("Female", "Male")),
        ("M", ("F", "M")),
        ("male", ("female", "male")),
        ("MEN", ("WOMEN", "MEN")),
    ],
)
def test_groups_are_spelled_as_the_model_declares(reference: str | None, expected: tuple[str, str]) -> None:
    """Every spelling of two groups is two groups, by the name of the declared one."""
    references = {} if reference is None else {"reference_groups": {"sex": reference}}
    register("m", normalise_groups=True, group_definitions={}, **references)
    words = ["F", "female", "WOMAN", "M", "male", " Man ", "?", None]
    ages = [17, 18.0, "29", 30, 45, 59.9, 60, 200]
    send(
        [
            event(f"e{i}", model_id="m", demographic_tags={"sex": word, "age": age})
            for i, (word, age) in enumerate(zip(words, ages, strict=True))
        ]
    )
    bands = ["UNDER_18", "18_30", "18_30", "30_40", "40_50", "50_60", "60_PLUS", "unknown"]
    sexes = [expected[0]] * 3 + [expected[1]] * 3 + ["unknown"] * 2
    assert set(groups("m")) == set(zip(sexes, bands, strict=True))


def test_a_model_may_keep_groups_as_they_come() -> None:
    """`normalise_groups` false, or a definition of its own for an attribute."""
    register("raw", normalise_groups=False, group_definitions={})
    register("own", normalise_groups=True, group_definitions={"age": {"bands": [50]}})
    for name in ("raw", "own"):
        send(event("e-" + name, model_id=name, demographic_tags={"sex": "femme", "age": 41}))
    assert (groups("raw"), groups("own")) == ([("femme", "41")], [("Female", "UNDER_50")])


def test_surnames_that_are_words_stay_groups() -> None:
    """A person called White is of the race that was said, and the surname alone is a token."""
    register(
        "r", columns={"decision": "d", "protected": ["race"]}, group_definitions={}, normalise_groups=True
    )
    send(
        event(
            "e",
            model_id="r",
            demographic_tags={"race": "White"},
            features={"surname": "White", "note": "Ms White"},
        )
    )
    table = count_keeper.window_table("acme", "r", *day_window())
    assert table.groups == (("White",),)
    assert kept_details()[0].tags == {"race": ["White"]}
    assert "White" not in json.dumps(kept_details()[0].features)


def test_a_date_of_birth_is_an_age_on_the_day_of_the_decision() -> None:
    """The same birthday, a day apart."""
    events = [
        event(
            f"e{i}",
            timestamp=(NOW + timedelta(days=days)).isoformat(),
            demographic_tags={"age": "2008-03-02"},
        )
        for i, days in enumerate((-1, 0))
    ]
    send(events)
    assert {age for _, age in groups()} == {"UNDER_18", "18_30"}


def test_features_are_kept_where_tenant_model_and_server_let_them(make_settings: Any) -> None:
    """Any of the three turns it off; ids and thresholds stay."""
    register("private", store_features=False)
    send(event("a", model_id="private", features={"x": 1}))
    privacy_keeper.change("acme", {"store_features": False}, "ann", NOW)
    send(event("b", features={"x": 1}))
    privacy_keeper.change("acme", {"store_features": True}, "ann", NOW)
    send(event("c", features={"x": 1}))
    config.use(make_settings(STORE_FEATURES="false"))
    send(event("d", features={"x": 1}))
    assert [(list(one.event_id), dict(one.features)) for one in kept_details()] == [
        (["a"], {}), (["b"], {}), (["c"], {"x": [1]}), (["d"], {}),
    ]  # fmt: skip


def test_a_name_that_only_a_feature_tells_is_in_no_id_and_no_label() -> None:
    """Whether features are kept or not: what is thrown away says first what in the rest is somebody's name."""
    privacy_keeper.change("acme", {"store_features": False}, "ann", NOW)
    sent = {"features": {"first_name": "Zelda", "note": "x"}, "demographic_tags": {"sex": "Zelda", "age": 41}}
    send([event("zelda-7", **sent), event("b", features={"note": "y"})])
    (kept,) = kept_details()
    assert not kept.features and not kept.tags
    labels = [sex for sex, _ in groups()]
    assert "zelda" not in json.dumps([list(kept.event_id), labels]).lower()
    assert kept.event_id[0].startswith("tok_name_") and kept.event_id[1] == "b"


def test_switches_of_another_process_count_within_two_seconds() -> None:
    """What was read is read anew after two seconds."""
    send(event("a", features={"secret": "blue"}))
    with session.unit_of_work():
        privacy_keeper.privacy.keep("acme", {"personal_fields": {"secret": "other"}}, "ann", NOW)
    send(event("b", features={"secret": "blue"}), now=NOW + timedelta(seconds=1))
    send(event("c", features={"secret": "blue"}), now=NOW + timedelta(seconds=2.1))
    assert [one.features["secret"][0][:9] for one in kept_details()] == ["blue", "blue", "tok_other"]


def test_proxies_stand_beside_and_decide_no_group() -> None:
    """Off by default; on, a distribution for those whose attribute is absent; the counts stay unknown."""
    events = [
        event("a", demographic_tags={}, features={"first_name": "Mary"}),
        event("b", demographic_tags={"sex": "M"}, features={"first_name": "Mary"}),
        event("c", demographic_tags={}, features={"first_name": "Qqzzx"}),
        event("d", demographic_tags={}, features={"first_name": None}),
    ]
    send(events)
    privacy_keeper.change("acme", {"proxies": {"gender": True}}, "ann", NOW)
    send([{**one, "event_id": one["event_id"] + "2"} for one in events])
    before, after = kept_details()
    assert before.proxies == {}
    proxy = after.proxies["sex"]
    mary = proxy_tables.first_names().counts["mary"]
    assert proxy["groups"] == ["Female", "Male"]
    assert proxy["p"][0] == pytest.approx([mary[0] / sum(mary), mary[1] / sum(mary)])
    assert proxy["p"][1] is None and proxy["p"][3] is None
    assert (proxy["p"][2], proxy["unknown"][2], proxy["quality"][2]) == ([0.0, 0.0], 1.0, 0.0)
    assert 0.9 < proxy["quality"][0] <= 1 and proxy["basis"][0] == ["first_name"]
    sexes = count_keeper.window_table("acme", "hiring", *day_window(), attributes=["sex"])
    assert [group for (group,) in sexes.groups] == ["Male", UNKNOWN]
    assert "mary" not in json.dumps([vars(one) for one in kept_details()]).lower()


def test_proxies_without_their_tables_cannot_be_turned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install, or which setting to make."""
    monkeypatch.setattr(proxy_tables, "find_spec", lambda name: None)
    proxy_tables.ethnicity_tables.cache_clear()
    with pytest.raises(InvalidInput, match=r'pip install "fairlens\[enrich\]"') as error:
        privacy_keeper.change("acme", {"proxies": {"race": True}}, "ann", NOW)
    assert error.value.details["field"] == "proxies.race"
    with pytest.raises(InvalidInput, match="INCOME_BY_ZIP_CSV"):
        privacy_keeper.change("acme", {"proxies": {"income_bracket": True}}, "ann", NOW)
    with pytest.raises(InvalidInput, match="personal_fields"):
        privacy_keeper.change("acme", {"personal_fields": {"x": "shoe size"}}, "ann", NOW)
    assert privacy_keeper.show("acme")["proxies"] == {"gender": False, "race": False, "income_bracket": False}
