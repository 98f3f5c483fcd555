"""Words of the sample corpus: a small English-German dictionary with the forms the grammar cannot derive.

Each English word has exactly one German counterpart for a given use, so that the corpus has no ambiguity.
Occupations therefore have a fixed gender: "teacher" is always "Lehrerin" and "baker" always "Bäcker".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Noun:
    """A noun; `tags[0]` is its class (which selects adjectives), the others say which verbs accept it."""

    en: str
    en_plural: str
    gender: str
    de: str
    de_plural: str
    tags: tuple[str, ...]
    weak: str = ""

    @property
    def kind(self) -> str:
        """The semantic class of the noun."""
        return self.tags[0]


@dataclass(frozen=True)
class Adjective:
    """An adjective with its predicative form, inflection stem and comparative in both languages."""

    en: str
    de: str
    stem: str
    en_comparative: str
    de_comparative: str


@dataclass(frozen=True)
class Verb:
    """A verb with irregular forms, argument frame and the noun tags it takes as an object.

    A separable German prefix is kept in `particle`. Spaces are allowed inside English forms ("picks up").
    """

    en: str
    en_third: str
    en_past: str
    en_participle: str
    en_ing: str
    de: str
    particle: str
    de_third: str
    de_participle: str
    aux: str
    frame: str
    objects: tuple[str, ...]
    places: tuple[str, ...]
    imperative: str
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Modal:
    """A modal: English present (third person, other) and past; German ich/er and wir/sie forms."""

    name: str
    en_third: str
    en_other: str
    de_present: tuple[str, str]
    en_past: str = ""
    de_past: tuple[str, str] = ("", "")
    takes_to: bool = False


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


# English singular and plural | gender, German singular and plural | class and tags | weak (oblique) singular
_NOUNS = """
man men | m Mann Männer | person adult
woman women | f Frau Frauen | person adult
boy boys | m Junge Jungen | person minor | Jungen
girl girls | n Mädchen Mädchen | person minor
child children | n Kind Kinder | person minor
baker bakers | m Bäcker Bäcker | person adult
farmer farmers | m Bauer Bauern | person adult | Bauern
doctor doctors | f Ärztin Ärztinnen | person adult
teacher teachers | f Lehrerin Lehrerinnen | person adult
student students | m Student Studenten | person adult | Studenten
neighbour neighbours | m Nachbar Nachbarn | person adult | Nachbarn
guest guests | m Gast Gäste | person adult
colleague colleagues | f Kollegin Kolleginnen | person adult
father fathers | m Vater Väter | kin person adult
mother mothers | f Mutter Mütter | kin person adult
brother brothers | m Bruder Brüder | kin person adult
sister sisters | f Schwester Schwestern | kin person adult
son sons | m Sohn Söhne | kin person
daughter daughters | f Tochter Töchter | kin person
aunt aunts | f Tante Tanten | kin person adult
dog dogs | m Hund Hunde | animal washable
cat cats | f Katze Katzen | animal
horse horses | n Pferd Pferde | animal goods washable
bird birds | m Vogel Vögel | animal
apple apples | m Apfel Äpfel | food goods washable
egg eggs | n Ei Eier | food goods cookable
pear pears | f Birne Birnen | food goods washable
potato potatoes | f Kartoffel Kartoffeln | food goods washable cookable
cake cakes | m Kuchen Kuchen | food goods
bread - | n Brot - | meal goods
cheese - | m Käse - | meal goods
soup - | f Suppe - | meal cookable
coffee - | m Kaffee - | drink
tea - | m Tee - | drink
milk - | f Milch - | drink
water - | n Wasser - | drink
book books | n Buch Bücher | text goods lendable writable lay gift losable
letter letters | m Brief Briefe | text writable lay openable losable
newspaper newspapers | f Zeitung Zeitungen | text goods lay gift
story stories | f Geschichte Geschichten | text writable
key keys | m Schlüssel Schlüssel | thing lay losable gift
bag bags | f Tasche Taschen | thing goods portable losable openable
box boxes | f Kiste Kisten | thing portable openable
picture pictures | n Bild Bilder | thing goods gift
cup cups | f Tasse Tassen | thing goods washable gift
knife knives | n Messer Messer | thing goods lendable lay washable
umbrella umbrellas | m Regenschirm Regenschirme | thing goods lendable lay losable gift
ball balls | m Ball Bälle | thing goods lay losable gift
gift gifts | n Geschenk Geschenke | thing portable openable
ticket tickets | f Fahrkarte Fahrkarten | paper goods lay losable gift
flower flowers | f Blume Blumen | flower goods gift
lamp lamps | f Lampe Lampen | thing goods device repairable
computer computers | m Computer Computer | machine goods lendable device repairable
coat coats | m Mantel Mäntel | clothes goods lendable lay washable losable wearable
dress dresses | n Kleid Kleider | clothes goods lay washable wearable
shirt shirts | n Hemd Hemden | clothes goods lay washable wearable
hat hats | m Hut Hüte | clothes goods lay losable wearable
table tables | m Tisch Tische | furniture goods repairable
chair chairs | m Stuhl Stühle | furniture goods repairable portable
bed beds | n Bett Betten | furniture goods
car cars | n Auto Autos | vehicle goods lendable repairable washable
bicycle bicycles | n Fahrrad Fahrräder | vehicle goods lendable repairable washable
bus buses | m Bus Busse | vehicle transit
train trains | m Zug Züge | vehicle transit
ship ships | n Schiff Schiffe | vehicle transit
door doors | f Tür Türen | opening openable closable repairable
window windows | n Fenster Fenster | opening openable closable repairable
house houses | n Haus Häuser | place goods building tidyable
garden gardens | m Garten Gärten | place
school schools | f Schule Schulen | place building
kitchen kitchens | f Küche Küchen | place tidyable
city cities | f Stadt Städte | place visitable
park parks | m Park Parks | place
forest forests | m Wald Wälder | place
station stations | m Bahnhof Bahnhöfe | place
shop shops | m Laden Läden | place tidyable
museum museums | n Museum Museen | place visitable
hotel hotels | n Hotel Hotels | place building
village villages | n Dorf Dörfer | place visitable
office offices | n Büro Büros | place tidyable
market markets | m Markt Märkte | place
bridge bridges | f Brücke Brücken | place
"""

# English and German predicative form | German stem if different | comparatives (- if not used)
_ADJECTIVES = """
old alt | - | older älter
young jung | - | younger jünger
new neu | - | newer neuer
big groß | - | bigger größer
small klein | - | smaller kleiner
beautiful schön | - | more_beautiful schöner
expensive teuer | teur | more_expensive teurer
cheap billig | - | cheaper billiger
heavy schwer | - | heavier schwerer
fast schnell | - | faster schneller
slow langsam | - | slower langsamer
strong stark | - | stronger stärker
clever klug | - | cleverer klüger
friendly freundlich | - | friendlier freundlicher
interesting interessant | - | more_interesting interessanter
long lang | - | longer länger
hungry hungrig | - | - -
tired müde | müd | - -
sick krank | - | - -
sad traurig | - | - -
happy glücklich | - | - -
red rot | - | - -
blue blau | - | - -
black schwarz | - | - -
white weiß | - | - -
cold kalt | - | - -
hot heiß | - | - -
fresh frisch | - | - -
empty leer | - | - -
broken kaputt | - | - -
"""

# English forms | German infinitive (particle+verb), third person, participle, auxiliary
_VERB_FORMS = """
read reads read read reading | lesen liest gelesen haben
write writes wrote written writing | schreiben schreibt geschrieben haben
buy buys bought bought buying | kaufen kauft gekauft haben
sell sells sold sold selling | verkaufen verkauft verkauft haben
find finds found found finding | finden findet gefunden haben
see sees saw seen seeing | sehen sieht gesehen haben
look_for looks_for looked_for looked_for looking_for | suchen sucht gesucht haben
need needs needed needed needing | brauchen braucht gebraucht haben
eat eats ate eaten eating | essen isst gegessen haben
drink drinks drank drunk drinking | trinken trinkt getrunken haben
cook cooks cooked cooked cooking | kochen kocht gekocht haben
wash washes washed washed washing | waschen wäscht gewaschen haben
carry carries carried carried carrying | tragen trägt getragen haben
lose loses lost lost losing | verlieren verliert verloren haben
forget forgets forgot forgotten forgetting | vergessen vergisst vergessen haben
repair repairs repaired repaired repairing | reparieren repariert repariert haben
visit visits visited visited visiting | besuchen besucht besucht haben
know knows knew known knowing | kennen kennt gekannt haben
love loves loved loved loving | lieben liebt geliebt haben
build builds built built building | bauen baut gebaut haben
open opens opened opened opening | öffnen öffnet geöffnet haben
close closes closed closed closing | zu+machen macht zugemacht haben
invite invites invited invited inviting | ein+laden lädt eingeladen haben
call calls called called calling | an+rufen ruft angerufen haben
pick_up picks_up picked_up picked_up picking_up | ab+holen holt abgeholt haben
tidy tidies tidied tidied tidying | auf+räumen räumt aufgeräumt haben
turn_on turns_on turned_on turned_on turning_on | ein+schalten schaltet eingeschaltet haben
try_on tries_on tried_on tried_on trying_on | an+probieren probiert anprobiert haben
help helps helped helped helping | helfen hilft geholfen haben
thank thanks thanked thanked thanking | danken dankt gedankt haben
follow follows followed followed following | folgen folgt gefolgt sein
give gives gave given giving | geben gibt gegeben haben
show shows showed shown showing | zeigen zeigt gezeigt haben
send sends sent sent sending | schicken schickt geschickt haben
bring brings brought brought bringing | bringen bringt gebracht haben
lend lends lent lent lending | leihen leiht geliehen haben
sleep sleeps slept slept sleeping | schlafen schläft geschlafen haben
work works worked worked working | arbeiten arbeitet gearbeitet haben
play plays played played playing | spielen spielt gespielt haben
laugh laughs laughed laughed laughing | lachen lacht gelacht haben
sing sings sang sung singing | singen singt gesungen haben
arrive arrives arrived arrived arriving | an+kommen kommt angekommen sein
get_up gets_up got_up got_up getting_up | auf+stehen steht aufgestanden sein
fall_asleep falls_asleep fell_asleep fallen_asleep falling_asleep | ein+schlafen schläft eingeschlafen sein
come_back comes_back came_back come_back coming_back | zurück+kommen kommt zurückgekommen sein
depart departs departed departed departing | ab+fahren fährt abgefahren sein
live lives lived lived living | wohnen wohnt gewohnt haben
stay stays stayed stayed staying | bleiben bleibt geblieben sein
go goes went gone going | gehen geht gegangen sein
travel travels travelled travelled travelling | fahren fährt gefahren sein
run runs ran run running | laufen läuft gelaufen sein
wait waits waited waited waiting | warten wartet gewartet haben
talk talks talked talked talking | sprechen spricht gesprochen haben
dream dreams dreamed dreamed dreaming | träumen träumt geträumt haben
put puts put put putting | legen legt gelegt haben
say says said said saying | sagen sagt gesagt haben
believe believes believed believed believing | glauben glaubt geglaubt haben
know knows knew known knowing | wissen weiß gewusst haben
hope hopes hoped hoped hoping | hoffen hofft gehofft haben
ask asks asked asked asking | fragen fragt gefragt haben
try tries tried tried trying | versuchen versucht versucht haben
be is was been being | sein ist gewesen sein
lie is was been being | liegen liegt gelegen haben
belong_to belongs_to belonged_to belonged_to belonging_to | gehören gehört gehört haben
rain rains rained rained raining | regnen regnet geregnet haben
snow snows snowed snowed snowing | schneien schneit geschneit haben
cost costs cost cost costing | kosten kostet gekostet haben
"""

# German infinitive | frame | object tags | places of action | imperative | flags
_VERB_USES = """
lesen | T | text | garden park office CITY | lies |
schreiben | T | writable | office hotel CITY | schreib |
kaufen | T | goods | market shop city CITY | kauf |
verkaufen | T | goods | market city CITY | verkauf | adult
finden | T | losable animal | garden park forest kitchen office station CITY | | noprog
sehen | T | person animal vehicle building | park station forest market bridge CITY | | noprog
suchen | T | losable animal | garden park forest house | such |
brauchen | T | goods | | | stative
essen | T | food meal | kitchen garden park hotel | iss |
trinken | T | drink | kitchen garden hotel office | trink |
kochen | T | cookable | kitchen hotel | koch |
waschen | T | washable | | wasch |
tragen | T | portable | | trag |
verlieren | T | losable | park forest city station CITY | | noprog accident
vergessen | T | losable | hotel office shop school | | noprog accident
reparieren | T | repairable | | reparier | adult
besuchen | T | person visitable | | besuch |
kennen | T | person text | | | stative
lieben | T | person animal | | | stative
bauen | T | building | city village CITY | | adult
öffnen | T | openable | | öffne |
zu+machen | T | closable | | mach |
ein+laden | T | person | | lad |
an+rufen | T | person | | ruf |
ab+holen | T | person | station hotel school | hol |
auf+räumen | T | tidyable | | räum |
ein+schalten | T | device | | schalte |
an+probieren | T | wearable | shop | probier |
helfen | D | person | garden kitchen | hilf |
danken | D | person | | dank |
folgen | D | person animal | | folge |
geben | G | gift food | | gib |
zeigen | G | gift animal text clothes | | zeig |
schicken | G | text flower | | schick |
bringen | G | gift food drink | | bring |
leihen | G | lendable | | leih |
schlafen | I | | garden house hotel CITY HOME | | animal
arbeiten | I | | garden office shop hotel museum market CITY HOME | arbeite | adult
spielen | I | | garden park house school HOME | spiel | with
lachen | I | | | |
singen | I | | kitchen garden school park | sing | with
an+kommen | I | | station hotel CITY | | transit noprog
auf+stehen | I | | | steh | noprog
ein+schlafen | I | | garden office | | animal
zurück+kommen | I | | | komm | noprog
ab+fahren | I | | | | onlytransit noprog
wohnen | L | | village city house CITY hotel | | stative
bleiben | L | | house hotel village garden CITY HOME | bleib | noprog
gehen | M | | | geh | with
fahren | V | | | fahr | adult with
laufen | M | | | lauf | animal
warten | P for auf acc | person transit | station house park hotel | warte |
sprechen | P about über acc | person text animal | garden office | sprich | with
träumen | P of von dat | vehicle animal person | | | noprog
legen | X | lay | | leg |
sagen | C dass that | | | |
glauben | C dass that | | | |
wissen | C dass that | | | |
hoffen | C dass that | | | |
fragen | C ob whether | | | |
versuchen | Z | | | | adult
sein | B | | | |
liegen | B | | | |
gehören | B | | | |
regnen | W | | | |
schneien | W | | | |
kosten | B | | | |
"""

# Place noun | English and German preposition of rest | English and German preposition of motion
_PLACES = """
house | in in | into in
garden | in in | into in
school | in in | to zu
kitchen | in in | into in
city | in in | to in
park | in in | to in
forest | in in | into in
station | at an | to zu
shop | in in | into in
museum | in in | to in
hotel | in in | to zu
village | in in | to in
office | in in | to in
market | at auf | to auf
bridge | on auf | to zu
"""

MODALS = (
    Modal("can", "can", "can", ("kann", "können"), "could", ("konnte", "konnten")),
    Modal("have to", "has", "have", ("muss", "müssen"), "had", ("musste", "mussten"), takes_to=True),
    Modal("want to", "wants", "want", ("will", "wollen"), "wanted", ("wollte", "wollten"), takes_to=True),
    Modal("should", "should", "should", ("sollte", "sollten")),
    Modal("may", "may", "may", ("darf", "dürfen")),
)

_MALE_NAMES = "Peter Paul Martin Jan Karl Tim Stefan Daniel Ben Simon Oskar Robert"
_FEMALE_NAMES = "Anna Maria Julia Laura Lena Sophie Clara Eva Nina Emma Lisa Helga"
_CITIES = "Berlin Hamburg Bremen Dresden Leipzig Stuttgart Bonn Rostock Freiburg"
MALE_NAMES = tuple(_MALE_NAMES.split())
FEMALE_NAMES = tuple(_FEMALE_NAMES.split())
CITIES = (
    *((name, name) for name in _CITIES.split()),
    ("Munich", "München"),
    ("Cologne", "Köln"),
    ("Vienna", "Wien"),
)
NUMBERS = (("two", "zwei"), ("three", "drei"), ("four", "vier"), ("five", "fünf"), ("six", "sechs"))

_PERSON = "old young friendly clever sad tired strong"
_COLOURS = "red blue black white"
_ADJECTIVES_BY_KIND = {
    "person": _PERSON,
    "minor": "small friendly clever sad tired",
    "kin": "friendly clever sad tired strong",
    "animal": "old young big small black white hungry",
    "food": "big small fresh cold",
    "meal": "fresh cold hot",
    "drink": "cold hot",
    "text": "new old long interesting beautiful sad",
    "thing": f"new old big small beautiful expensive cheap {_COLOURS}",
    "flower": "beautiful red blue white small",
    "paper": "expensive cheap new",
    "machine": "new old expensive cheap fast slow",
    "clothes": f"new old beautiful expensive cheap long {_COLOURS}",
    "furniture": "new old big small heavy expensive",
    "vehicle": f"new old big fast slow {_COLOURS}",
    "opening": "big small old new",
    "place": "old new big small beautiful",
}

# What a thing can be said to be as a reason for an action; disjoint from STATES, so that the German
# pronouns "er" and "sie" cannot be read as both a person and a thing.
_QUALITIES_BY_KIND = {
    "food": "cheap fresh",
    "text": "interesting long",
    "thing": "cheap expensive beautiful heavy broken",
    "flower": "cheap beautiful expensive",
    "paper": "cheap expensive",
    "machine": "cheap expensive fast slow broken",
    "clothes": "cheap expensive beautiful long",
    "furniture": "cheap expensive heavy beautiful broken",
    "vehicle": "cheap expensive fast slow broken",
}

# Words with the same number after the slash are aligned with each other.
PAST_TIMES = (
    ("yesterday/1", "gestern/1"),
    ("last/1 week/2", "letzte/1 Woche/2"),
    ("last/1 year/2", "letztes/1 Jahr/2"),
    ("this/1 morning/2", "heute/1 Morgen/2"),
)
PERIODS = (
    ("in/1 the/1 evening/2", "am/1 Abend/2"),
    ("in/1 summer/2", "im/1 Sommer/2"),
)
HABITS = (
    ("every/1 day/2", "jeden/1 Tag/2"),
    ("every/1 week/2", "jede/1 Woche/2"),
    *PERIODS,
)
FREQUENCIES = (
    ("often/1", "oft/1"),
    ("always/1", "immer/1"),
    ("sometimes/1", "manchmal/1"),
    ("never/1", "nie/1"),
)
FUTURE_TIMES = (
    ("tomorrow/1", "morgen/1"),
    ("next/1 week/2", "nächste/1 Woche/2"),
    ("soon/1", "bald/1"),
)
WEEKDAYS = (
    ("Monday", "Montag"),
    ("Tuesday", "Dienstag"),
    ("Wednesday", "Mittwoch"),
    ("Thursday", "Donnerstag"),
    ("Friday", "Freitag"),
    ("Saturday", "Samstag"),
    ("Sunday", "Sonntag"),
)
HOME = ("at/1 home/2", "zu/1 Hause/2")
GO_HOME = ("home/1", "nach/1 Hause/1")

# English surface preposition, German preposition and the furniture or container it goes with.
SURFACES = (
    ("on", "auf", ("table", "chair", "bed")),
    ("under", "unter", ("table", "chair", "bed")),
    ("in", "in", ("bag", "box")),
    ("next to", "neben", ("box", "lamp", "computer", "bed")),
    ("behind", "hinter", ("door", "computer", "box")),
)


def _parse_noun(cells: list[str]) -> Noun:
    en, en_plural = cells[0].split()
    gender, de, de_plural = cells[1].split()
    return Noun(en, en_plural, gender, de, de_plural, tuple(cells[2].split()), cells[3] if cells[3:] else "")


def _parse_adjective(cells: list[str]) -> Adjective:
    en, de = cells[0].split()
    en_comparative, de_comparative = cells[2].replace("-", "").split() or ("", "")
    stem = de if cells[1] == "-" else cells[1]
    return Adjective(en, de, stem, en_comparative.replace("_", " "), de_comparative)


def _parse_verbs() -> tuple[Verb, ...]:
    uses = {row[0]: row[1:] for row in _rows(_VERB_USES)}
    return tuple(_parse_verb(english, german, uses) for english, german in _rows(_VERB_FORMS))


def _parse_verb(english: str, german: str, uses: dict[str, list[str]]) -> Verb:
    base, en_third, past, en_participle, ing = (form.replace("_", " ") for form in english.split())
    infinitive, third, participle, aux = german.split()
    frame, objects, places, imperative, flags = (uses[infinitive] + [""] * 4)[:5]
    particle, _, stem = infinitive.rpartition("+")
    return Verb(
        en=base,
        en_third=en_third,
        en_past=past,
        en_participle=en_participle,
        en_ing=ing,
        de=stem,
        particle=particle,
        de_third=third,
        de_participle=participle,
        aux=aux,
        frame=frame,
        objects=tuple(objects.split()),
        places=tuple(places.split()),
        imperative=imperative,
        flags=tuple(flags.split()),
    )


NOUNS = {noun.en: noun for noun in map(_parse_noun, _rows(_NOUNS))}
ADJECTIVES = {adjective.en: adjective for adjective in map(_parse_adjective, _rows(_ADJECTIVES))}
VERBS = _parse_verbs()
VERB = {(verb.particle + verb.de): verb for verb in VERBS}
PLACES = {row[0]: (*row[1].split(), *row[2].split()) for row in _rows(_PLACES)}
STATES = tuple(ADJECTIVES[word] for word in ("hungry", "tired", "sick", "sad", "happy"))
ADJECTIVES_BY_KIND = {
    kind: tuple(ADJECTIVES[word] for word in words.split()) for kind, words in _ADJECTIVES_BY_KIND.items()
}
QUALITIES_BY_KIND = {
    kind: tuple(ADJECTIVES[word] for word in words.split()) for kind, words in _QUALITIES_BY_KIND.items()
}


def adjectives_for(noun: Noun) -> tuple[Adjective, ...]:
    """Return the adjectives that can stand before a noun; children are not called old."""
    return ADJECTIVES_BY_KIND["minor" if "minor" in noun.tags else noun.kind]


@cache
def nouns_tagged(*tags: str) -> tuple[Noun, ...]:
    """Return, in table order, the nouns that have at least one of the tags."""
    return tuple(noun for noun in NOUNS.values() if any(tag in noun.tags for tag in tags))


# English words of the grammar rather than of the dictionary; German words that are linked to others are content words.
_FUNCTION_WORDS = """
    the a an this that these no my our his her their every any and but because if whether although than as to not did
    does do is was are were has have had will can could should must may would in on at into with for from of about
    behind under by i he she it we they me him us them who whom whose what which where when why how many please up back
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
