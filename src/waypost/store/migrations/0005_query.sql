-- A customer asks again for the statuses and inbound messages of an application, as for its events: beside the index of
-- events, one for each other kind, so that a callback stands in one of them, and a list without a kind uses none.
CREATE INDEX callback_status ON callback (appkey, id) WHERE kind = 'status';
CREATE INDEX callback_inbound ON callback (appkey, id) WHERE kind = 'inbound';
