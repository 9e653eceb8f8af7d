"""Mini News: 6,000 + 1,000 invented news stories on four topics, written by this file, so that nothing need be downloaded.

Every town, land, person, company and club is made up of the syllables below; no sentence was taken from anywhere. The
topics have the names of AG News. A story is a headline, `TOWN (Wire) -`, a lead and one or two more sentences.

It is an exercise and not a benchmark. What makes it hard, in the order of its weight:

* One story in seven is a crossing: its headline suits two topics (a club is sold), the lead is of one and the next
  sentence of the other, out of the same stock of sentences. The topic is that of the lead, so it is told by what stands
  where. A bag of words must guess; a model that reads in order, or knows what follows `(Wire) -`, need not.
* One story in ten ends in a sentence of another topic.
* 2.5 % of the labels, in train and in test, are simply wrong, as people's labels are: the best score is about 97.5 %.
* Words are drawn by Zipf's law, so most of them are rare, and many (court, strike, record, launch) serve several topics.

TF-IDF of single words with logistic regression reaches about 90 %.
"""

import random
import re
from functools import cache
from itertools import accumulate

from rubrica.text.tokenizer import tokenize

TOPICS = ("World", "Sports", "Business", "Sci/Tech")

_ROWS = {"train": 6000, "test": 1000}
_CROSSING, _STRAY, _WRONG = 0.15, 0.10, 0.025  # shares of stories, see above
_REMARK = 0.3  # share of stories that end in a remark of no topic
_MAX_TOKENS = 60
_A_BEFORE_VOWEL = re.compile(r"\ba (?=[aeiou])")

# A name is one of these beginnings and one ending of its kind.
_STEMS = "Vel Tarn Osk Bren Quel Dor Lidd Pel Hask Ard Corv Zam Fenn Garr Ilm Jorv Kes Lomb Narv Orm Pryd Rusk Savr Tob Umbr Wend Yar Ambr Blesk Caul Drev Elst Firn Grom Hald Istr Jask Krel Lusk"

_ENDINGS = {
    "town": "holm ford mere gate wick ova ask entis burn haven",
    "land": "ania avia ora estan land ica",
    "name": "ard ov enko ini well sen ez aki ander by",
    "firm": "ex tron ico ital world ware lane um",
}

_NUMBERS = {
    "n": lambda rng: str(round(10 ** rng.uniform(0.4, 2.9))),
    "pct": lambda rng: f"{rng.randint(1, 19)}.{rng.randint(1, 9)}",
    "money": lambda rng: str(rng.randint(3, 900)),
    "score": lambda rng: f"{rng.randint(2, 5)}-{rng.randint(0, 1)}",
}

# Most frequent first; an underscore stands for a space.
_WORDS = {
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "March October January May September June November April July December August February",
    "nth": "second third fourth fifth sixth seventh eighth ninth tenth twelfth",
    "trade": "Group Bank Motors Systems Foods Energy Airlines Steel Mobile Media Stores Insurance Pharma Shipping",
    "mascot": "Rovers United Comets Falcons Athletic Wolves Harriers Wanderers Bears City Pirates Lancers Otters Kings",
    "mood": "new late surprise bitter quiet sudden early costly rare tense major brief crucial modest bold heated awkward gloomy chaotic hopeful historic stormy unusual painful dramatic lucky",
    "source": "officials witnesses reporters observers critics insiders lawyers experts a_spokeswoman two_people_present local_radio state_television union_leaders residents a_court_clerk",
    # World
    "ruler": "president prime_minister parliament foreign_minister government opposition_leader governor army mayor king cabinet interior_minister ambassador senate general supreme_court envoy",
    "crowd": "rebels protesters soldiers police refugees villagers militants peacekeepers troops students aid_workers farmers guerrillas prisoners border_guards settlers smugglers pilgrims volunteers",
    "conflict": "election ceasefire border_dispute referendum curfew siege embargo hostage_crisis coup treaty uprising amnesty asylum_law blockade land_reform tribunal annexation armistice mutiny census",
    "disaster": "flood earthquake bombing drought air_strike mudslide wildfire ferry_accident famine train_crash prison_riot cholera_outbreak avalanche explosion typhoon stampede bus_crash heat_wave",
    "site": "capital border province valley northern_hills embassy port refugee_camp parliament_square checkpoint mosque cathedral barracks island river_crossing old_town ministry mountain_pass",
    # Sports
    "player": "captain striker goalkeeper rookie defender winger midfielder veteran skipper forward fullback sweeper substitute playmaker newcomer left_back reserve teenager",
    "goal": "goal penalty free_kick header hat_trick late_winner volley equalizer own_goal long_shot tap-in overhead_kick deflection solo_run lob rebound",
    "match": "final season_opener semifinal derby playoff cup_tie quarterfinal friendly road_game qualifier rematch replay league_game title_decider home_game charity_match",
    "athlete": "sprinter swimmer cyclist golfer top_seed rower hurdler heavyweight jockey gymnast skier skater archer fencer decathlete wrestler weightlifter high_jumper",
    "race": "race championship marathon relay tournament time_trial grand_prix regatta sprint slalom triathlon prologue steeplechase biathlon medley pentathlon",
    "venue": "stadium home_ground track court arena fairway league_table bench standings dressing_room podium locker_room grandstand touchline infield training_camp velodrome",
    "harm": "knee_injury suspension hamstring_strain ban sprained_ankle drug_test red_card fever contract_row broken_wrist",
    # Business
    "boss": "chief_executive analyst chairman finance_director board trader broker economist auditor regulator treasurer founder main_lender pension_fund receiver central_bank retailer underwriter",
    "deal": "merger takeover rights_issue bankruptcy buyout share_sale restructuring profit_warning stock_split flotation price_war audit joint_venture bond_issue loan cost-cutting_plan dividend",
    "figure": "profit shares sales earnings revenue costs output debt orders exports margins prices bonds wages losses rates stocks inventories imports turnover forecasts reserves yields premiums",
    "goods": "oil steel coffee copper wheat cars gas furniture cement drugs timber sugar clothing gold cotton tires flour paper beer fertilizer cocoa toys diamonds rubber",
    "market": "market exchange index currency industry economy sector high_street futures_market bourse",
    # Sci/Tech
    "expert": "scientists researchers astronomers biologists physicists geologists chemists doctors climatologists zoologists paleontologists neurologists botanists geneticists oceanographers",
    "tool": "telescope satellite probe microscope laser spacecraft sensor robot rover scanner balloon submarine detector",
    "object": "planet gene virus comet species fossil galaxy protein glacier asteroid bacterium moon coral molecule crater enzyme star volcano whale neuron dinosaur meteorite fungus supernova parasite",
    "user": "users developers engineers hackers programmers designers gamers bloggers testers technicians owners hobbyists",
    "device": "phone browser computer search_engine website laptop camera operating_system music_player network game_console server virus_scanner chip handset screen memory_card router printer",
    "flaw": "worm security_hole virus bug spam fault glitch crash password_theft battery_fire hoax leak trojan",
    "study": "study test launch experiment mission survey trial simulation expedition observation",
    "trait": "faster wireless digital open-source solar high-speed free encrypted portable broadband tiny sturdy",
}  # fmt: skip

_HEADLINES = {
    "World": """
        {ruler} of {land} calls for talks on {conflict}
        {crowd} kill {n} near {site} in {land}
        {mood} {conflict} divides {land}
        {land} {ruler} rejects {conflict}
        {n} dead after {disaster} in {town}
        {ruler} visits {site} after {disaster}
        {town} buries victims of {disaster}
        court in {land} tries {crowd} over {conflict}""",
    "Sports": """
        {club} beat {club2} in {mood} {match}
        {name} {goal} lifts {club}
        {player} {name} out with {harm}
        {name} wins {nth} {race} of the season
        {mood} {goal} puts {club} top
        {club} drop {player} after {mood} {match}
        {athlete} {name} breaks record in {race}
        {club} lose {nth} game in a row""",
    "Business": """
        {firm} {figure} down {pct} percent
        {firm} to cut {n} jobs after {deal}
        {boss} backs {mood} {deal} at {firm}
        {goods} {figure} up on {mood} {market}
        {market} gains on {figure} despite {goods} fears
        {mood} {deal} weighs on {firm} {figure}
        court clears {firm} of {deal} charge
        record {goods} {figure} as {market} slows""",
    "Sci/Tech": """
        {expert} find {mood} {object} near {town}
        {firm} launches {trait} {device}
        {object} {study} surprises {expert}
        {firm} fixes {flaw} in {device}
        {user} blame {flaw} for {device} failure
        {nth} {study} of {tool} delayed
        {firm} strikes at {device} pirates
        record number of {user} hit by {flaw}""",
}

_SENTENCES = {
    "World": """
        the {ruler} said on {day} that {n} people had died in the {site} during the {disaster}
        {crowd} attacked the {site} only hours after the {ruler} had spoken of a {mood} {conflict}
        thousands of {crowd} marched to the {site} on {day} to protest against the {conflict}
        the {ruler} of {land} will meet that of {land2} in {month} to discuss the {conflict}
        at least {n} {crowd} were arrested near the {site} on {day}
        {crowd} have been leaving the {site} since the {disaster}, now in its {nth} week
        {crowd} and {crowd2} blamed each other for the {mood} {conflict}
        foreign {crowd} reached the {site} on {day} with food for victims of the {disaster}
        a court charged {n} {crowd} over their part in the {conflict} of {month}
        a strike of {crowd} closed the {site}, and the {ruler} flew home from {land2}
        the {disaster} cut off the {site}, where {crowd} searched for survivors until {day}""",
    "Sports": """
        the {player} scored with a {goal} in the {nth} minute of a {mood} {match}
        {name}, the {player}, will miss the {match} because of a {harm} suffered on {day}
        {club} won the {match} by {score} to keep their place in the {venue}
        {club2} had led until a {mood} {goal} by the {player} turned the {match}
        the {player} left the {venue} in tears after the {mood} {match}
        a crowd of {n} thousand saw the {player} end the {match} with a {goal}
        the {athlete} hopes to be back from a {harm} in time for the {race}
        the {athlete} set a record in the {race} on {day} and wept on the {venue}
        a {harm} of the {player} cost {club} the {match} against {club2}
        the {player} struck twice and the {venue} cheered a {mood} {goal}
        the {athlete} won a {mood} {race} by {pct} seconds, the {nth} success since {month}""",
    "Business": """
        {firm} said on {day} that {figure} fell {pct} percent in the {nth} quarter because of dearer {goods}
        the {boss} expects {figure} to grow {pct} percent this year after the {deal}
        {figure} rose {pct} percent on {day} as the {market} welcomed the {mood} {deal}
        {firm} will pay {money} million dollars to settle the {deal}, its {boss} said
        the {boss} warned that the {deal} could hurt {figure} of {goods} until {month}
        {firm} plans to raise {money} million dollars for the {deal} with {firm2}
        the {boss} quit on {day} after a {mood} quarrel over {figure} and the {deal}
        a court approved the {deal}, which gives the {boss} {pct} percent of {firm}
        demand for {goods} is weak, and the {market} fears a {mood} {deal}
        a strike over wages stopped deliveries of {goods} and sent {figure} to a record low
        the {market} closed {pct} percent lower as makers of {goods} reported {mood} {figure}""",
    "Sci/Tech": """
        {expert} have built a {trait} {tool} that can detect a {object}
        the {device}, to go on sale in {month}, is {trait} and passed a {mood} {study}
        a {mood} {study} by {expert} shows how the {object} changes over time
        {firm} released a {trait} version of its {device} on {day} to stop the {flaw}
        the {object} was seen with a {trait} {tool}, {expert} reported on {day}
        {user} warned that the {flaw} spreads to every {device} that is not protected
        the {study} failed because the {tool} lost contact with {expert} on {day}
        some {n} thousand {user} have tried the {trait} {device} since {month}
        the {tool} took the first pictures of the {object}, a record for such a {study}
        {expert} hope that the {study} will explain where the {object} comes from
        lightning struck the {tool}, but {expert} saved the data on the {object}""",
}

# What two topics have in common. The lead that follows decides.
_CROSSINGS = {
    ("Sports", "World"): """
        {land} and {land2} meet again after {mood} year
        {name} of {land} makes {mood} return to {town}""",
    ("Business", "World"): """
        {land} counts cost of {mood} {month}
        {town} waits as {firm} and {land} talk""",
    ("Sci/Tech", "World"): """
        {land} asks for help after {mood} alarm
        {town} wakes to {mood} warning""",
    ("Business", "Sports"): """
        {firm} to buy {club} for {money} million
        {club} and {firm} settle {mood} row""",
    ("Sci/Tech", "Sports"): """
        {club} try {mood} new idea from {firm}
        {name} and {firm} chase record in {town}""",
    ("Business", "Sci/Tech"): """
        {firm} and {firm2} join forces
        {firm} has {mood} news for {town}""",
}

_REMARKS = """
    "We did what we could," {name} told reporters
    {source} gave no reason for the {mood} decision
    "Nobody in {town} will forget this {month}," {name} said
    {source} said that a {mood} statement would follow on {day}
    more was to be known by {day}, according to {source}
    it was not clear what {name} would do next
    {source} spoke of a {mood} start to {month}"""


def build_mini_news(seed: int = 0) -> dict[str, tuple[list[str], list[str]]]:
    """Write the corpus: for train and test the texts and their labels, the same for the same seed.

    No story occurs twice, and none has more than 60 tokens. The labels are in no order.
    """
    rng = random.Random(seed)
    seen: set[str] = set()
    splits = {}
    for split, rows in _ROWS.items():
        texts, labels = list[str](), list[str]()
        while len(texts) < rows:
            topic = rng.choice(TOPICS)
            text = _write_story(topic, rng)
            if text in seen or len(tokenize(text)) > _MAX_TOKENS:
                continue
            seen.add(text)
            texts.append(text)
            labels.append(_another(topic, rng) if rng.random() < _WRONG else topic)
        splits[split] = texts, labels
    return splits


def _write_story(topic: str, rng: random.Random) -> str:
    words, kind = _Words(rng), rng.random()
    second = _another(topic, rng) if kind < _CROSSING + _STRAY else topic
    headlines = _HEADLINES[topic] if kind >= _CROSSING else _CROSSINGS[min(topic, second), max(topic, second)]
    sentences = [_pick(_SENTENCES[topic], rng), _pick(_SENTENCES[second], rng)]
    while sentences[0] == sentences[1]:
        sentences[1] = _pick(_SENTENCES[second], rng)
    if rng.random() < _REMARK:
        sentences.append(_pick(_REMARKS, rng))
    headline, *body = (_fill(template, words) for template in (_pick(headlines, rng), *sentences))
    return f"{headline} {words['town'].upper()} (Wire) - {'. '.join(body)}."


def _fill(template: str, words: "_Words") -> str:
    sentence = _A_BEFORE_VOWEL.sub("an ", template.format_map(words))
    return sentence[0].upper() + sentence[1:]


class _Words(dict[str, str]):
    """The words of one story, each drawn when a template first asks for it; `club2` is another than `club`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def __missing__(self, slot: str) -> str:
        kind = slot.rstrip("2")
        word = _draw(kind, self.rng)
        while slot != kind and word == self[kind]:
            word = _draw(kind, self.rng)
        self[slot] = word
        return word


def _draw(kind: str, rng: random.Random) -> str:
    if kind in _WORDS:
        return _zipf(_WORDS[kind], rng).replace("_", " ")
    if kind in _NUMBERS:
        return _NUMBERS[kind](rng)
    if kind == "club":
        return f"{_draw('town', rng)} {_zipf(_WORDS['mascot'], rng)}"
    name = _zipf(_STEMS, rng) + _zipf(_ENDINGS[kind], rng)
    return f"{name} {_zipf(_WORDS['trade'], rng)}" if kind == "firm" and rng.random() < 0.5 else name


def _zipf(words: str, rng: random.Random) -> str:
    """One of the words, that at rank r (from 0) with a probability proportional to 1 / (r + 2)."""
    ranked, weights = _ranked(words)
    return rng.choices(ranked, cum_weights=weights)[0]


@cache
def _ranked(words: str) -> tuple[list[str], list[float]]:
    ranked = words.split()
    return ranked, list(accumulate(1 / (rank + 2) for rank in range(len(ranked))))


def _pick(templates: str, rng: random.Random) -> str:
    return rng.choice(_lines(templates))


@cache
def _lines(templates: str) -> list[str]:
    return [line.strip() for line in templates.strip().splitlines()]


def _another(topic: str, rng: random.Random) -> str:
    return rng.choice([other for other in TOPICS if other != topic])
