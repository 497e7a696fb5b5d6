"""Meta's error codes as data: one record per code or range of codes, read by `waypost.meta.errors`.

Source: Meta's documentation of the Cloud API error codes, its changelogs of 2025 and 2026, and what operators have
reported where Meta is silent. A record is two lines, `code | class | scope | title` and, indented, what to do next;
a line in brackets names the family of the records after it. The classes are explained at `MetaError.retry_class`.
"""

ROWS = """
[authorization]
0 | CONF | waba | the app user could not be authenticated
    Issue a new access token for the WABA and load it.
3 | CONF | waba | the app lacks a capability or permission for this call
    Grant the app the permission in Meta's dashboard; sending again does not help.
10 | CONF | waba | permission was not granted or has been removed
    Check the token's permissions and which assets its system user is assigned to.
102 | CONF | waba | the session is no longer valid
    Issue a new access token for the WABA and load it.
104 | CONF | waba | the access token is missing
    Issue a new access token for the WABA and load it.
190 | CONF | waba | the access token has expired or is invalid
    Issue a new access token for the WABA and load it; a system user's token need not expire.
200 | CONF | waba | API access is blocked, a permission is missing, or there was no token
    Check the token, the app's permissions and its access level.
200-299 | CONF | waba | a permission of the app, the token or the account is missing
    Check the app's permissions, its access level and the WABA's assignment to it.
131005 | CONF | number | access to this business phone or WABA is denied
    Give the token's system user full control of the WABA that holds the number.
2500 | CONF | app | no active token, or an address that Meta does not know
    Check the base address, the API version and the phone number id in the settings.
[policy]
368 | CONF | waba | the WABA is restricted for violating a policy
    Read the violation in WhatsApp Manager, appeal or wait until the block ends; stop sending meanwhile.
130497 | USER | recipient | this WABA may not message people in the recipient's country
    Leave out recipients of this country.
131031 | CONF | waba | the account is locked, or data in the request did not match it
    Read the WABA's health status in WhatsApp Manager and settle it with Meta.
131064 | LATER | waba | a limit was reached because templates were put into the wrong category
    Stop templates of this WABA until Meta lifts the limit, and correct their categories.
[throttling]
4 | RATE | app | the app has made too many calls
    Wait some minutes; every number of the app is affected.
17 | RATE | app | the user of the token has made too many calls
    Wait some minutes before the next call with this token.
32 | RATE | app | too many calls at page level
    Wait some minutes before the next call.
341 | RATE | app | a temporary limit of the application was reached
    Wait some minutes; every number of the app is affected.
613 | RATE | app | a rate limit of this call was exceeded
    Wait some minutes before the next call.
80007 | RATE | waba | the WABA has made too many calls
    Wait as long as Meta's usage header says; every number of the WABA is affected.
80008 | RATE | waba | too many management calls for the WABA
    Wait, and ask less often for templates and phone numbers.
130429 | RATE | number | the number sends faster than its throughput allows
    Send more slowly from this number and repeat the message after some seconds.
131048 | LATER | number | the number is restricted because recipients blocked or reported it
    Pause campaigns from this number and look at its quality rating before going on.
131056 | RATE | pair | too many messages from this number to this recipient in a short time
    Wait some seconds, longer each time, before the next message to this recipient; others are not affected.
133016 | MGMT | management | the number was registered or deregistered too often
    Wait until the 72-hour window has passed.
[message]
1 | TRANS | message | an unknown failure of Meta's API
    Nobody can tell whether the message went out; wait for its status before sending it again.
2 | TRANS | message | Meta's service is down or overloaded
    Nobody can tell whether the message went out; wait for its status before sending it again.
33 | CONF | number | the business phone has been deleted
    Remove the number from the tenants, or register it again and load its new id.
100 | PERM | message | a parameter is missing, misspelled, not supported or too long
    Correct the parameter that the details name; the same message will be refused again.
506 | PERM | message | the same post was sent twice
    Change the message, or do not send it again.
803 | CONF | number | the object that the call names does not exist
    Check the phone number id and that the token may use it.
130403 | USER | recipient | this business has blocked the recipient
    Unblock the recipient before sending to them.
130472 | LATER | recipient | withheld: the recipient is part of an experiment of Meta's with marketing messages
    Do not repeat it; a message that the recipient writes first opens the window.
131000 | TRANS | message | something went wrong at Meta and no reason was given
    Nobody can tell whether the message went out; wait for its status before sending it again.
131008 | PERM | message | a required parameter is missing
    Add what the details name, often a header or button parameter of the template.
131009 | PERM | message | a parameter's value is not valid
    Correct the value that the details name.
131014 | PERM | message | the address of the media could not be requested
    Check that the link answers without login, or upload the media and send its id.
131016 | TRANS | message | a service of Meta's is temporarily unavailable; the message was not taken
    Send the message again after a short wait.
131020 | PERM | message | the group is not valid or has only one member
    Check the group id and its members.
131021 | PERM | recipient | sender and recipient are the same number
    Send to another number than the one that sends.
131026 | USER | recipient | undeliverable: not on WhatsApp, an old version, or terms not accepted
    Reach the recipient another way; do not repeat the message by a program.
131030 | PERM | recipient | a test number may only send to its list of allowed recipients
    Add the recipient to the test number's list (Brazil and Mexico: in both spellings), or use a real number.
131035 | PERM | waba | the content of a webhook was lost, because the account stores nothing at Meta
    Messages to this WABA were lost: make the webhook address answer quickly and always.
131036 | PERM | message | the recipient's device did not honour a retry; the account stores nothing at Meta
    The message may be on another of the recipient's devices; ask before sending it again.
131037 | CONF | number | the display name of the number is not approved
    Have the display name approved in WhatsApp Manager.
131041 | PERM | message | the group is unknown
    Check the group id.
131042 | CONF | waba | a problem with the payment method of the WABA
    Settle billing in Meta's business settings, then send again.
131044 | CONF | waba | a problem with payment for calls
    Settle billing in Meta's business settings.
131045 | CONF | number | the registration or certificate of the number is not in order
    Register the number again.
131047 | PERM | recipient | more than 24 hours since the recipient last wrote
    Send a template instead; the same message will be refused again.
131049 | LATER | recipient | withheld, so that the recipient does not get too much marketing
    Wait at least 24 hours; repeating it sooner makes the recipient unreachable for longer.
131050 | USER | recipient | the recipient has stopped marketing from this business
    Send this recipient no marketing until they allow it again.
131051 | PERM | message | the type of the message is not supported
    Send another type of message.
131052 | PERM | message | media that the recipient sent could not be downloaded
    Ask the recipient to send it again.
131053 | PERM | message | the media of the message could not be fetched or processed
    Check that the link answers quickly and the file has a supported kind and size, or upload it and send its id.
131055 | PERM | message | this endpoint does not take this kind of message
    Send anything that is no marketing template with api_type 0.
131057 | RATE | number | the number is in maintenance, for example while its throughput is raised
    Send the message again after about a minute.
131059 | MGMT | management | the cursor of a list is not valid any more
    Start the list again from its first page.
131062 | PERM | recipient | this message can't be sent to a business-scoped user id
    Send it to the recipient's phone number.
131063 | CONF | waba | marketing templates are not allowed on the ordinary endpoint
    Send marketing templates with api_type 1.
134011 | CONF | waba | the terms for payments are not accepted
    Accept the terms in WhatsApp Manager.
135000 | PERM | message | the message's parameters caused a failure that Meta does not describe
    Check the parameters; if they are right, trying once more is worth it.
137000 | PERM | recipient | the recipient's identity has changed since it was verified
    Verify the recipient again, then send with the new hash.
[template]
132000 | PERM | message | the number of parameters differs from the template's variables
    Send as many parameters as the details say, in the component that they name.
132001 | TPL | template | the template does not exist in this language, or is not approved
    Check name and language code; a template just approved may need some minutes.
132005 | PERM | message | the text is too long once the parameters are filled in
    Shorten the parameters.
132007 | TPL | template | the template's content violates a policy
    Read the reason in WhatsApp Manager and edit the template.
132008 | TPL | template | a parameter or its format violates a policy
    Correct the parameter or edit the template.
132012 | PERM | message | a parameter is of another kind than the template's
    Send the kind that the details expect, for example the header's image.
132015 | TPL | template | the template is paused because of low quality
    Use another template, or improve this one and wait until it is active again.
132016 | TPL | template | the template is disabled for good after several pauses
    Create a new template with other content.
132018 | PERM | message | a parameter's text holds something that is not allowed
    Take new lines, tabs and runs of more than four spaces out of the parameters.
132068 | TPL | template | the flow of the template is blocked
    Repair the flow in WhatsApp Manager.
132069 | LATER | template | the flow of the template is throttled
    Send it at most ten times an hour until the flow's quality has recovered.
134100 | PERM | template | only marketing templates can be sent through the Marketing Messages API
    Send this template with api_type 0.
134101 | RATE | template | the template is still being prepared for the Marketing Messages API
    Send the message again within ten minutes.
134102 | CONF | waba | the template or the WABA is not available in the Marketing Messages API
    Complete the WABA's onboarding for marketing messages, or send with api_type 0.
134103 | CONF | waba | the Marketing Messages API refused the template
    Complete the WABA's onboarding for marketing messages, or send with api_type 0.
2388019 | MGMT | management | the WABA has as many templates as it may have
    Delete templates that are not used, or verify the business.
[template management]
192 | MGMT | management | the template could not be created, or a phone number in it is not valid
    Read the details and correct the template.
200002 | MGMT | management | the template could not be created, or a phone number in it is not valid
    Read the details and correct the template.
2388039 | MGMT | management | the template can't be changed in its present state
    Wait until its review is over.
2388040 | MGMT | management | a text of the template is too long
    Shorten the text that the details name.
2388047 | MGMT | management | the header of the template has the wrong format
    Correct the header.
2388072 | MGMT | management | the body of the template has the wrong format
    Correct the body.
2388073 | MGMT | management | the footer of the template has the wrong format
    Correct the footer.
2388293 | MGMT | management | the template has too many variables for the length of its text
    Lengthen the text or take out variables.
2388299 | MGMT | management | the template's text starts or ends with a variable
    Put words before the first and after the last variable.
200005 | MGMT | management | insights into templates are not available
    Ask again when the WABA is eligible.
200006 | MGMT | management | insights into templates can't be switched off
    Leave them on.
200007 | MGMT | management | insights into templates are not switched on
    Switch them on in WhatsApp Manager.
[registration]
133000 | MGMT | management | an earlier deregistration of the number is not complete
    Deregister the number again, then register it.
133004 | MGMT | management | the server for registrations is temporarily unavailable
    Try the registration again later; the details may say when.
133005 | MGMT | management | the PIN of the number is wrong
    Use the right PIN, or reset it in WhatsApp Manager.
133006 | MGMT | management | the number must be verified before it is registered
    Verify the number first.
133008 | MGMT | management | the PIN was guessed too often
    Wait as long as the details say.
133009 | MGMT | management | the PIN was entered too quickly
    Wait a little and enter it again.
133010 | CONF | number | the business phone is not registered with the Cloud API
    Register the number; until then nothing can be sent from it.
133015 | MGMT | management | the number was deleted a moment ago
    Wait five minutes and register it then.
[migration]
2388001 | MGMT | management | the number could not be moved to another WABA
    Read the details; the number stays where it was.
2388012 | MGMT | management | the number could not be moved to another WABA
    Read the details; the number stays where it was.
2388091 | MGMT | management | the number could not be moved to another WABA
    Read the details; the number stays where it was.
2388093 | MGMT | management | the number could not be moved to another WABA
    Read the details; the number stays where it was.
2388103 | MGMT | management | the number could not be moved to another WABA
    Read the details; the number stays where it was.
2494100 | MGMT | management | the number is in maintenance
    Try again in some minutes.
2593079 | MGMT | management | the synchronisation with the Business app failed
    Read the details; it must be started within the time that Meta allows, and once only.
2593085 | MGMT | management | the synchronisation with the Business app failed
    Read the details; it must be started within the time that Meta allows, and once only.
2593107 | MGMT | management | the synchronisation with the Business app failed
    Read the details; it must be started within the time that Meta allows, and once only.
2593108 | MGMT | management | the synchronisation with the Business app failed
    Read the details; it must be started within the time that Meta allows, and once only.
2494164-2494179 | MGMT | management | embedded signup could not be completed
    Read the details and start the signup again.
1752041 | MGMT | management | onboarding for marketing messages was already asked for
    Wait for its result.
[groups]
131201 | MGMT | management | the change to the group was made only in part
    Read which members failed and repeat it for them.
131202 | MGMT | management | a member is named twice
    Name each member once.
131204 | MGMT | management | too many members for one group
    Add fewer members.
131207 | MGMT | management | the group is suspended
    Use another group.
131208 | MGMT | management | too many changes to groups
    Wait before the next change.
131209 | MGMT | management | the group's photo has the wrong shape
    Use a square photo.
131210 | MGMT | management | the group's photo has the wrong size
    Use a photo of another size.
131211 | MGMT | management | too many groups were created
    Delete groups that are not used.
131212 | MGMT | management | the person is not in the group
    Check the members first.
131213 | MGMT | management | there is no such request to join
    List the requests again.
131214 | MGMT | management | groups can't be created at the moment
    Try again later.
131215 | MGMT | management | the number may not use groups
    Use a number that is eligible.
[calling]
138000-138024 | MGMT | management | a call was refused
    Read the details; messages are not affected.
[flows]
139000-139004 | MGMT | management | a flow is blocked, throttled or not correct
    Repair the flow in WhatsApp Manager.
[blocking]
139100 | MGMT | management | some recipients could not be blocked or unblocked
    Read which ones failed and repeat it for them.
139101 | MGMT | management | the list of blocked recipients is full
    Unblock recipients first.
139102 | MGMT | management | the list of blocked recipients was changed at the same time
    Repeat the change.
139103 | MGMT | management | the list of blocked recipients could not be changed
    Try again later.
[health]
141002 | MGMT | management | the health status reports a problem
    Read its details in WhatsApp Manager.
141006 | MGMT | management | the health status reports a missing or failing payment method
    Settle billing in Meta's business settings.
141010 | MGMT | management | the health status reports a problem
    Read its details in WhatsApp Manager.
141014 | MGMT | management | the health status reports a problem
    Read its details in WhatsApp Manager.
[names]
147001-147005 | MGMT | management | the business's username could not be changed
    Read the details and choose another name.
"""
