-- As attempts_keys, of one message.
select x.id, x.endpoint_id, coalesce((select true from anzol.message m where m.id = x.message_id
-- conditions
       ), false)
  from (select a.id, a.message_id, a.endpoint_id, a.outcome, a.status, a.started_at from anzol.attempt a
         where a.message_id = :message
           and a.id < :after and a.id >= :through -- either way
         order by a.id desc limit :each) x -- either way
