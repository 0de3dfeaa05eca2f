-- The first schema. Times are microseconds since the Unix epoch; an id is 16 bytes, `seq` its short number in here.
-- Nothing on the way of a message has a foreign key: accepting only inserts.

create table anzol_deployment (
    id integer primary key check (id = 1),
    mark text not null,
    canary blob not null -- what only the right secret key opens
);

create table anzol_environment (
    id integer primary key,
    name text not null unique,
    created_at integer not null
);

create table anzol_customer (
    seq integer primary key autoincrement,
    id blob not null check (length(id) = 16),
    environment integer not null,
    uid text not null,
    name text not null default '',
    metadata text not null default '{}' check (json_valid(metadata)),
    throttle integer check (throttle > 0), -- deliveries a second, of all its endpoints
    granted_until integer, -- when the next start may be granted
    granted_to integer, -- the worker that had the last grant
    created_at integer not null,
    updated_at integer not null,
    deleted_at integer,
    erase_through integer -- messages up to this seq are to be erased
);
create unique index anzol_customer_id on anzol_customer (id);
create unique index anzol_customer_uid on anzol_customer (environment, uid);
create index anzol_customer_environment on anzol_customer (environment);
create index anzol_customer_erased on anzol_customer (id) where erase_through is not null;

create table anzol_event_type (
    environment integer not null,
    name text not null,
    description text not null,
    schemas text check (schemas is null or json_valid(schemas)), -- by version, such as {"1": {...}}
    declared integer not null default 0 check (declared in (0, 1)), -- in the application's code
    group_name text,
    archived integer not null default 0 check (archived in (0, 1)),
    deprecated integer not null default 0 check (deprecated in (0, 1)),
    feature_flags text not null default '[]' check (json_valid(feature_flags)),
    validation integer not null default 0 check (validation between 0 and 2), -- refuse, warn, off
    created_at integer not null,
    updated_at integer not null,
    primary key (environment, name)
) without rowid;

create table anzol_endpoint (
    seq integer primary key autoincrement,
    id blob not null check (length(id) = 16),
    environment integer not null,
    customer_id blob not null check (length(customer_id) = 16),
    uid text,
    url text not null,
    description text not null default '',
    event_types text not null default '[]' check (json_valid(event_types)),
    channels text not null default '[]' check (json_valid(channels)),
    header_names text not null default '[]' check (json_valid(header_names)),
    headers blob, -- names and values, sealed
    throttle integer check (throttle > 0),
    fifo integer not null default 0 check (fifo in (0, 1)),
    contact text,
    header_prefix text,
    schedule text check (schedule is null or json_valid(schedule)), -- microseconds
    metadata text not null default '{}' check (json_valid(metadata)),
    disabled integer check (disabled between 1 and 4),
    enabled_at integer not null,
    created_at integer not null,
    updated_at integer not null,
    deleted_at integer
);
create unique index anzol_endpoint_id on anzol_endpoint (id);
create unique index anzol_endpoint_uid on anzol_endpoint (customer_id, uid) where deleted_at is null and uid is not null;
create index anzol_endpoint_live on anzol_endpoint (customer_id, seq) where deleted_at is null;
create index anzol_endpoint_customer on anzol_endpoint (customer_id, seq);
create index anzol_endpoint_deleted on anzol_endpoint (deleted_at) where deleted_at is not null;

create table anzol_endpoint_secret (
    id integer primary key autoincrement, -- the version, bound into the sealing
    endpoint integer not null,
    value blob not null,
    created_at integer not null,
    expires_at integer
);
create unique index anzol_endpoint_secret_current on anzol_endpoint_secret (endpoint) where expires_at is null;
create index anzol_endpoint_secret_endpoint on anzol_endpoint_secret (endpoint);
create index anzol_endpoint_secret_expiry on anzol_endpoint_secret (expires_at) where expires_at is not null;

-- The queue of one endpoint. parked: 1 disabled, 2 paused, 4 deleted, added up.
-- turn_at: of a free lane, when it is to be taken; of a held one, when its holder is to look again.
create table anzol_lane (
    endpoint integer primary key,
    turn_at integer,
    holder integer,
    parked integer not null default 0 check (parked between 0 and 7),
    failures integer not null default 0 check (failures >= 0),
    failing_since integer,
    circuit_open_until integer,
    circuit_step integer not null default 0 check (circuit_step >= 0),
    full integer not null default 0 check (full in (0, 1)) -- it was over the limit, and has not drained since
);
create index anzol_lane_due on anzol_lane (turn_at) where holder is null and parked = 0 and turn_at is not null;
create index anzol_lane_held on anzol_lane (holder, turn_at) where holder is not null;
create index anzol_lane_deleted on anzol_lane (endpoint) where parked >= 4;

create table anzol_message (
    seq integer primary key autoincrement,
    id blob not null check (length(id) = 16),
    environment integer not null,
    customer_id blob not null check (length(customer_id) = 16),
    customer text not null, -- its uid at that time
    event_type text not null,
    method text not null,
    content_type text not null,
    headers text not null,
    query text not null,
    channels text not null,
    tags text not null,
    key text,
    deliver_at integer,
    only_endpoint blob check (length(only_endpoint) = 16),
    created_at integer not null,
    unwanted integer not null default 0 check (unwanted in (0, 1)), -- nobody was subscribed
    body blob -- null: erased
);
create unique index anzol_message_id on anzol_message (id);
create index anzol_message_customer on anzol_message (customer_id);
create index anzol_message_unwanted on anzol_message (created_at) where unwanted = 1;

-- Keys of messages, by customer; and, for 12 hours, of the requests that they came with: those are nobody's.
create table anzol_message_key (
    customer_id blob not null,
    key text not null,
    message_id blob not null,
    digest blob not null, -- of event type and body
    created_at integer not null,
    primary key (customer_id, key)
) without rowid;
create index anzol_message_key_age on anzol_message_key (created_at) where customer_id <> x'00000000000000000000000000000000';
create index anzol_message_key_slot_age on anzol_message_key (created_at) where customer_id = x'00000000000000000000000000000000';

create table anzol_accepted (
    id integer primary key autoincrement,
    message integer not null,
    customer_id blob not null,
    cursor integer not null default 0, -- the last endpoint it was expanded to
    resent integer not null default 0 check (resent in (0, 1)) -- to some endpoint, before it was expanded to that
);
create index anzol_accepted_customer on anzol_accepted (customer_id);

create table anzol_pending (
    id integer primary key autoincrement,
    endpoint integer not null,
    message integer not null,
    due_at integer not null,
    attempt integer not null default 0 check (attempt >= 0),
    step integer not null default 0 check (step >= 0),
    manual integer not null default 0 check (manual in (0, 1)),
    interruptions integer not null default 0 check (interruptions between 0 and attempt),
    paused integer not null default 0 check (paused in (0, 1)),
    holder integer
);
create unique index anzol_pending_message on anzol_pending (message, endpoint);
create index anzol_pending_lane on anzol_pending (endpoint, holder);
create index anzol_pending_due on anzol_pending (endpoint, due_at) where holder is null and paused = 0;

create table anzol_delivery (
    message integer not null,
    endpoint integer not null,
    state integer not null,
    cause integer not null,
    attempts integer not null check (attempts >= 0),
    ended_at integer not null,
    primary key (message, endpoint),
    check (state = 1 and cause = 1 or state = 2 and cause in (2, 3, 4) or state = 3 and cause in (5, 6, 8))
) without rowid;
create index anzol_delivery_endpoint on anzol_delivery (endpoint, message);

create table anzol_attempt (
    seq integer primary key autoincrement,
    id blob not null check (length(id) = 16),
    message integer not null,
    endpoint integer not null,
    number integer not null check (number > 0),
    outcome integer not null check (outcome between 0 and 11),
    status integer check (status between 100 and 999),
    detail text not null,
    note text not null,
    manual integer not null check (manual in (0, 1)),
    started_at integer not null,
    resolve integer,
    connect integer,
    tls integer,
    first_byte integer,
    total integer not null,
    response_headers text not null,
    response_body blob not null
);
create index anzol_attempt_id on anzol_attempt (id);
create index anzol_attempt_message on anzol_attempt (message);
create index anzol_attempt_endpoint on anzol_attempt (endpoint);

create table anzol_worker (
    id integer primary key autoincrement,
    host text not null,
    pid integer not null,
    version text not null,
    process text not null,
    started_at integer not null,
    expires_at integer not null,
    term integer not null check (term > 0)
);

create table anzol_pause_rule (
    id integer primary key autoincrement,
    environment integer not null,
    customer_id blob,
    event_type text,
    endpoint integer,
    created_at integer not null,
    actor text not null
);

create table anzol_incident (
    id integer primary key autoincrement,
    kind integer not null check (kind between 1 and 9),
    at integer not null,
    endpoint integer not null,
    message_id blob,
    detail text not null,
    telling_until integer, -- 9223372036854775807: handlers have been told, or are not to be
    announced integer not null default 0 check (announced in (0, 1)) -- to operational endpoints, or not to be
);
create index anzol_incident_unannounced on anzol_incident (id) where announced = 0;

create table anzol_outbox_source (
    id integer primary key,
    digest blob not null unique,
    url blob not null -- sealed
);

-- Who may call the REST API. Of a key only its digest is kept; of a token, from when on it is worth nothing.
create table anzol_api_key (
    seq integer primary key autoincrement,
    id blob not null unique check (length(id) = 16),
    environment integer not null,
    digest blob not null unique,
    name text not null,
    hint text not null, -- its last characters
    scopes text not null check (json_valid(scopes)),
    created_at integer not null,
    created_by text not null,
    expires_at integer,
    revoked_at integer,
    used_at integer
);

create table anzol_revocation (
    environment integer not null,
    subject text not null, -- token:..., customer:... or session:...
    issued_through integer not null, -- tokens issued up to then
    effective_at integer not null,
    keep_until integer not null,
    primary key (environment, subject, effective_at)
) without rowid;
create index anzol_revocation_age on anzol_revocation (keep_until);

create table anzol_portal_code (
    digest blob primary key,
    environment integer not null,
    claims text not null check (json_valid(claims)),
    expires_at integer not null
) without rowid;
create index anzol_portal_code_age on anzol_portal_code (expires_at);

-- Answers to requests that may be made again: by credential and idempotency key. No status: it is under way.
create table anzol_answer (
    slot blob primary key,
    request blob not null,
    status integer,
    body blob,
    lease_until integer not null,
    created_at integer not null
) without rowid;
create index anzol_answer_age on anzol_answer (created_at);

-- Who did what.
create table anzol_audit (
    seq integer primary key autoincrement,
    environment integer not null,
    at integer not null,
    actor text not null,
    action text not null,
    object text not null, -- its shown id or name
    customer_id blob,
    detail text not null check (json_valid(detail))
);
create index anzol_audit_environment on anzol_audit (environment, seq);
create index anzol_audit_customer on anzol_audit (customer_id, seq) where customer_id is not null;
create index anzol_audit_age on anzol_audit (at);

-- Changes to many deliveries, done by workers page by page. state: 0 running, 1 finished, 2 failed, 3 cancelled.
create table anzol_sweep (
    seq integer primary key autoincrement,
    id blob not null unique check (length(id) = 16),
    environment integer not null,
    kind text not null,
    customer_id blob,
    endpoint text,
    scope text not null check (json_valid(scope)),
    state integer not null default 0 check (state between 0 and 3),
    place text, -- where its next page begins
    changed integer not null default 0,
    result text not null default '{}' check (json_valid(result)),
    error text not null default '',
    actor text not null,
    holder integer,
    held_until integer,
    created_at integer not null,
    updated_at integer not null
);
create index anzol_sweep_environment on anzol_sweep (environment, seq);
create index anzol_sweep_running on anzol_sweep (seq) where state = 0;

-- When a free lane is due: its earliest claimable delivery; on FIFO endpoints its first one, whatever comes behind.
create view anzol_next_due as
select l.endpoint,
    case when e.fifo then
        (select case when p.paused then null else p.due_at end
           from anzol_pending p indexed by anzol_pending_lane
          where p.endpoint = l.endpoint and p.holder is null
          order by p.id limit 1)
    else
        (select p.due_at
           from anzol_pending p indexed by anzol_pending_due
          where p.endpoint = l.endpoint and p.holder is null and p.paused = 0
          order by p.due_at limit 1)
    end as due_at
from anzol_lane l join anzol_endpoint e on e.seq = l.endpoint;

-- Environments whose operational endpoints are told of incidents, and the customer that has those.
create view anzol_operational as
select c.environment, c.id as customer_id
  from anzol_customer c
 where c.uid = '~operational'
   and exists (select 1 from anzol_endpoint o
                where o.customer_id = c.id and o.deleted_at is null and o.disabled is null);
