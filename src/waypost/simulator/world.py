"""What exists at this Meta: accounts, numbers, templates; declared or, in open mode, made on first use."""

import msgspec

from waypost.simulator.config import Config, Phone, Template, Waba
from waypost.simulator.errors import unknown_object
from waypost.simulator.fields import digits_of

DEFAULT_WABA = Waba(waba_id="100000000000001")
MOST_CREATED = 10_000  # of each kind; further ones exist too, but are not listed


class World:
    """Looks objects up by id. `config` is the current configuration and may be replaced by `declare`."""

    def __init__(self, config: Config) -> None:
        self.declare(config)

    def declare(self, config: Config) -> None:
        """Makes the declared objects what `config` says; forgets what was made on first use, and subscribes all."""
        self.config = config
        self._wabas: dict[str, Waba] = {}
        self._phones: dict[str, tuple[Phone, Waba]] = {}
        self._templates: dict[tuple[str, str, str], Template] = {}
        self._unsubscribed: set[str] = set()
        for declared in config.wabas:
            waba = msgspec.structs.replace(declared, phones=list(declared.phones), templates=[])
            self._wabas[waba.waba_id] = waba
            for phone in waba.phones:
                self._phones[phone.id] = (_with_number(phone), waba)
            for template in declared.templates:
                self._add_template(waba, template)

    def waba(self, waba_id: str, method: str) -> Waba:
        """The WABA of that id; raises `GraphError` 100/33 where only declared objects exist."""
        waba = self._wabas.get(waba_id)
        if waba is None:
            if self.config.checks("objects") or waba_id in self._phones:
                raise unknown_object(method, waba_id)
            waba = Waba(waba_id=waba_id)
            if len(self._wabas) < MOST_CREATED:
                self._wabas[waba_id] = waba
        return waba

    def phone(self, phone_number_id: str, method: str) -> tuple[Phone, Waba]:
        """The business phone of that id and its WABA; raises `GraphError` 100/33 where only declared objects exist.

        A phone made on first use joins the first WABA there is, and gets a number that follows from its id.
        """
        found = self._phones.get(phone_number_id)
        if found is None:
            if self.config.checks("objects") or phone_number_id in self._wabas:
                raise unknown_object(method, phone_number_id)
            waba = next(iter(self._wabas.values()), None) or self.waba(DEFAULT_WABA.waba_id, method)
            found = (_with_number(Phone(id=phone_number_id)), waba)
            if len(self._phones) < MOST_CREATED:
                self._phones[phone_number_id] = found
                waba.phones.append(found[0])
        return found

    def reporting(self, phone_number_id: str) -> tuple[Phone, Waba]:
        """The phone and WABA that webhooks about this phone name; unlike `phone` it takes any phone as existing."""
        found = self._phones.get(phone_number_id)
        return found or (_with_number(Phone(id=phone_number_id)), next(iter(self._wabas.values()), DEFAULT_WABA))

    def subscribe(self, waba: Waba, subscribed: bool) -> None:
        """Makes the app get the webhooks of a WABA, or no more of them; at first it gets those of all."""
        if subscribed:
            self._unsubscribed.discard(waba.waba_id)
        else:
            self._unsubscribed.add(waba.waba_id)

    def is_subscribed(self, waba: Waba) -> bool:
        """Whether the app gets the webhooks of this WABA."""
        return waba.waba_id not in self._unsubscribed

    def is_phone(self, object_id: str) -> bool:
        """Whether this id is known to be a business phone's."""
        return object_id in self._phones

    def is_waba(self, object_id: str) -> bool:
        """Whether this id is known to be a WABA's."""
        return object_id in self._wabas

    def phones_of(self, waba: Waba) -> list[Phone]:
        """All business phones of a WABA."""
        return [_with_number(phone) for phone in waba.phones]

    def templates_of(self, waba: Waba) -> list[Template]:
        """All templates of a WABA, in the order they were declared or first used."""
        return waba.templates

    def template(self, waba: Waba, name: str, language: str) -> Template | None:
        """The template of that name in exactly that language; None where an unknown one does not exist."""
        template = self._templates.get((waba.waba_id, name, language))
        if template is None and not self.config.checks("templates"):
            template = Template(name=name, language=language)
            if len(self._templates) < MOST_CREATED:
                template = self._add_template(waba, template)
        return template

    def _add_template(self, waba: Waba, template: Template) -> Template:
        known = msgspec.structs.replace(template, id=template.id or str(700_000_000_000_001 + len(self._templates)))
        self._templates[waba.waba_id, template.name, template.language] = known
        waba.templates.append(known)
        return known


def number_of(phone: Phone) -> str:
    """The digits of a business phone's number."""
    return digits_of(phone.display_phone_number)


def _with_number(phone: Phone) -> Phone:
    if phone.display_phone_number:
        return phone
    return msgspec.structs.replace(phone, display_phone_number="1555" + phone.id[-7:].zfill(7))
