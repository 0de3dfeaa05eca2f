-- Who wants these messages (the same rule as anzol.subscription), and how each lane stands.
select json_group_array(json_array(
    o.id, m.seq, e.seq, m.deliver_at,
    exists (select 1 from anzol_pause_rule r
             where r.environment = m.environment and r.event_type = m.event_type
               and coalesce(r.customer_id, m.customer_id) = m.customer_id and coalesce(r.endpoint, e.seq) = e.seq),
    e.fifo, l.holder, l.parked, l.turn_at, l.full,
    case when e.fifo then exists (select 1 from anzol_pending p where p.endpoint = e.seq)
    else exists (select 1 from anzol_pending p indexed by anzol_pending_due
                  where p.endpoint = e.seq and p.holder is null and p.paused = 0 and p.due_at <= :now) end))
  from json_each(:outbox) j
  cross join anzol_accepted o on o.id = j.value
  join anzol_message m on m.seq = o.message
  join anzol_endpoint e on e.seq in (select x.seq from anzol_endpoint x
                                      where x.customer_id = o.customer_id and x.seq > o.cursor and x.deleted_at is null
                                      order by x.seq limit :page)
  join anzol_lane l on l.endpoint = e.seq
 where e.disabled is null
   and not (o.resent and (exists (select 1 from anzol_pending p where p.message = m.seq and p.endpoint = e.seq)
                       or exists (select 1 from anzol_delivery d where d.message = m.seq and d.endpoint = e.seq)))
   and case when m.only_endpoint is not null then e.id = m.only_endpoint
       else (e.created_at <= m.created_at or e.created_at > :now) -- ahead of now: made before the clock was set back
        and (e.event_types = '[]' or exists (select 1 from json_each(e.event_types) t where t.value = m.event_type))
        and (e.channels = '[]' or exists (select 1 from json_each(e.channels) a
                                            join json_each(m.channels) b on b.value = a.value))
       end
