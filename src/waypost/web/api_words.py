"""The words and examples of the API description: what the types alone can't say about a member."""

from typing import Any

MEDIA_NOTE = "Give `id` or `link`; where both are given `id` wins and `link` is not forwarded."

SIGNING = (
    "Every request is signed with the account's secret; the signature covers four headers and the raw body. Whatever "
    "is wrong, the answer is HTTP 200 with JSON; `code` tells: 0 is success. A repeat of a request (the same "
    "`cus_message_id`, or without one the same `sign`) is never sent twice and gets the first answer."
)

# name, required, meaning, example
HEADERS = (
    ("accessKey", True, "Who calls.", "fme2na3kdi3ki"),
    ("ts", True, "Now, in milliseconds since 1970; at most 60,000 away from the gateway's clock.", "1655710885431"),
    ("bizType", True, "Always `2`.", "2"),
    ("action", True, "Here: `mt`.", "mt"),
    (
        "sign",
        True,
        "Lower-case hex MD5 of `accessKey=…&action=…&bizType=…&ts=…&body=…&accessSecret=…`: values raw, the body "
        "exactly the bytes that are sent.",
        "32 hex digits",
    ),
    ("algorithm", False, "`sha256` asks for SHA-256 instead of MD5; not part of the signed string.", "sha256"),
)

# schema → one sentence about it
SCHEMAS: dict[str, str] = {
    "TextMessage": "A text message.",
    "Text": "The content of a text message.",
    "Context": "Makes the message a reply; allowed with every type.",
    "ImageMessage": "A picture.",
    "Image": f"A picture with an optional caption. {MEDIA_NOTE}",
    "VideoMessage": "A film.",
    "Video": f"A film with an optional caption. {MEDIA_NOTE}",
    "AudioMessage": "A sound.",
    "Audio": f"A sound or a voice note. {MEDIA_NOTE}",
    "DocumentMessage": "A file.",
    "Document": f"A file with an optional name and caption. {MEDIA_NOTE}",
    "LocationMessage": "A place on the map.",
    "Location": "A place by its coordinates, in degrees, as numbers or as strings that hold numbers.",
    "StickerMessage": "A sticker.",
    "Sticker": f"A sticker. {MEDIA_NOTE}",
    "TemplateMessage": "A template that Meta has approved, with values for its variables.",
    "Template": "Name and language of a template, and the values for its variables.",
    "Language": "Which language of the template.",
    "Component": "Values for one part of a template: header, body, one button, or the cards of a carousel.",
    "Card": "One card of a carousel.",
    "Parameter": "One value for one variable. Kinds that only Meta knows are passed on as given.",
    "InteractiveMessage": "Buttons, lists, flows and the like; the object is passed on to Meta as given.",
    "ContactsMessage": "Contact cards; passed on to Meta as given.",
    "ReactionMessage": "An emoji on an earlier message; passed on to Meta as given.",
    "ReacticonMessage": "A reaction under the other spelling of its type.",
}

_LINK = {"description": "An http or https URL from which Meta fetches the file.", "format": "uri"}
_MEDIA_ID = {"description": "Meta's id of an uploaded file."}
_CAPTION = {"description": "Text below the file."}
_MEDIA: dict[str, dict[str, Any]] = {"id": _MEDIA_ID, "link": _LINK}
_NUMBER = {
    "description": "Digits with country code, 6 to 15 of them; `+ - ( ) .` and spaces are ignored.",
    "pattern": r"^[-+(). 0-9]{6,}$",
}
_COORDINATE = "in degrees; a number or a string that holds one."

# members that every message carries → what to add to their schema
ENVELOPE: dict[str, dict[str, Any]] = {
    "type": {"description": "Which kind of message; names the member that holds its content."},
    "appkey": {"description": "The application that sends.", "minLength": 1},
    "business_phone": {**_NUMBER, "description": f"The number that sends. {_NUMBER['description']}"},
    "to": {**_NUMBER, "description": f"The recipient's number. {_NUMBER['description']}"},
    "messaging_product": {"description": "Always `whatsapp`."},
    "recipient_type": {"description": "Always `individual`."},
    "cus_message_id": {
        "description": "Your own id for the message. It replaces ours in the answer and in callbacks, and is the key "
        "under which a repeat is known for 30 days. 1 to 128 printable characters without spaces.",
        "maxLength": 128,
    },
    "dr_webhook": {
        "description": "Where callbacks about this message go instead of the application's webhook: an absolute http "
        "or https URL without user name and password.",
        "format": "uri",
        "maxLength": 8192,
    },
    "biz_opaque_callback_data": {"description": "Any string; comes back with every status of the message, unchanged."},
    "api_type": {
        "description": "0 (default): Meta's Cloud API. 1: Meta's Marketing Messages API, templates only.",
        "enum": [0, 1, "0", "1", None],
    },
    "context": {"description": "The message that this one replies to."},
}

# schema → member → what to add to its schema
MEMBERS: dict[str, dict[str, dict[str, Any]]] = {
    "Context": {
        "message_id": {
            "description": "Id of the earlier message: ours, your `cus_message_id`, or Meta's; one that nobody knows "
            "is passed on as it is.",
            "minLength": 1,
        }
    },
    "Text": {
        "body": {"description": "The text, with WhatsApp's formatting marks; not touched."},
        "preview_url": {
            "description": "Show a preview of the first link.",
            "enum": [True, False, "true", "false", None],
        },
    },
    "Image": {**_MEDIA, "caption": _CAPTION},
    "Video": {**_MEDIA, "caption": _CAPTION},
    "Audio": {**_MEDIA, "voice": {"description": "Show it as a voice note."}},
    "Document": {**_MEDIA, "caption": _CAPTION, "filename": {"description": "Name under which the recipient sees it."}},
    "Sticker": _MEDIA,
    "Location": {
        "longitude": {"description": f"-180 to 180, {_COORDINATE}", "minimum": -180, "maximum": 180},
        "latitude": {"description": f"-90 to 90, {_COORDINATE}", "minimum": -90, "maximum": 90},
        "name": {"description": "Name of the place."},
        "address": {"description": "Its address."},
    },
    "Template": {
        "name": {"description": "Name of the template.", "minLength": 1},
        "language": {"description": "Its language."},
        "components": {"description": "Values for its variables; leave out where it has none."},
    },
    "Language": {
        "code": {"description": "Meta's language code, such as `en_US`.", "minLength": 1},
        "policy": {"description": "Always `deterministic`."},
    },
    "Component": {
        "type": {"description": "`header`, `body`, `button` or `carousel`; letter case does not matter."},
        "sub_type": {
            "description": "Of a button, required there: `url`, `quick_reply`, …; letter case does not matter."
        },
        "index": {"description": "Position of a button, required there: 0 to 9, as a number or a string."},
        "parameters": {"description": "The values, in the order of the variables."},
        "cards": {"description": "The cards of a carousel, required there."},
    },
    "Card": {
        "card_index": {"description": "Number of the card, from 0.", "minimum": 0},
        "components": {"description": "Its header, body and buttons."},
    },
    "InteractiveMessage": {"interactive": {"description": "Meta's object: `type`, and `body` or `action`."}},
    "ContactsMessage": {"contacts": {"description": "Meta's contact objects.", "minItems": 1}},
    "ReactionMessage": {
        "reaction": {"description": "`message_id` of the message and `emoji`; an empty emoji takes the reaction back."},
        "reacticon": {"description": "Another spelling of `reaction`."},
    },
}
MEMBERS["ReacticonMessage"] = MEMBERS["ReactionMessage"]

MEDIA_SCHEMAS = ("Image", "Video", "Audio", "Document", "Sticker")
PARAMETER: dict[str, Any] = {
    "title": "Parameter",
    "type": "object",
    "properties": {
        "type": {
            "type": "string",
            "description": "`text`, `payload`, `image`, `video`, `document`, or a kind of Meta's.",
        },
        "text": {"type": "string", "description": "The value, where type is `text`."},
        "payload": {
            "type": "string",
            "description": "What comes back when the button is tapped, where type is `payload`.",
        },
        "image": {"$ref": "#/components/schemas/Image"},
        "video": {"$ref": "#/components/schemas/Video"},
        "document": {"$ref": "#/components/schemas/Document"},
        "parameter_name": {"type": "string", "description": "Name of the variable, in templates with named variables."},
    },
    "required": ["type"],
}

_CONTENTS: dict[str, Any] = {
    "text": {"body": "Your parcel is on its way: https://shop.example/p/17", "preview_url": True},
    "image": {"link": "https://shop.example/shoes.jpg", "caption": "The ones you liked"},
    "video": {"id": "1013859600285441", "caption": "How to tie them"},
    "audio": {"id": "1013859600285442"},
    "document": {"link": "https://shop.example/invoice-17.pdf", "filename": "invoice-17.pdf"},
    "location": {"longitude": 113.938447, "latitude": 22.550803, "name": "Our shop", "address": "Kexing Science Park"},
    "sticker": {"id": "1013859600285443"},
    "template": {
        "name": "order_ready",
        "language": {"code": "en_US", "policy": "deterministic"},
        "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "Ann"}, {"type": "text", "text": "B520"}]},
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "p/17"}]},
        ],
    },
    "interactive": {
        "type": "button",
        "body": {"text": "Shall we deliver tomorrow?"},
        "action": {"buttons": [{"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]},
    },
    "contacts": [
        {"name": {"formatted_name": "Ann Example", "first_name": "Ann"}, "phones": [{"phone": "+12025550123"}]}
    ],
    "reaction": {"message_id": "wamid.0190f3c2a4b87d10a3f5c6d7e8f90a1b", "emoji": "👍"},
}


def example(type_: str) -> dict[str, Any]:
    """Return a whole request body of one type."""
    return {
        "appkey": "f543ertg",
        "business_phone": "8615800001795",
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "8613600009759",
        "type": type_,
        type_: _CONTENTS[type_],
    }


EXAMPLE_TYPES = tuple(_CONTENTS)
META_ERROR: dict[str, object] = {
    "message": "(#131030) Recipient phone number not in allowed list",
    "type": "OAuthException",
    "code": 131030,
    "error_data": {"messaging_product": "whatsapp", "details": "Recipient phone number not in allowed list"},
    "fbtrace_id": "AmCuD7sOjcEDetBNhlT2cJm",
}
TRACE_ID = "0190f3c2a4b87d10a3f5c6d7e8f90a1c"
MESSAGE_ID = "wamid.0190f3c2a4b87d10a3f5c6d7e8f90a1b"
