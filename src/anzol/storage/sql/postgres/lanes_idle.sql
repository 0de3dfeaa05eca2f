-- Whether free lanes have waited too long for their turn; and in which of these lanes, locked before, anything is pending. `offset 0`:
-- asked for each.
select exists (select from anzol.lane where holder is null and parked = 0 and turn_at <= :now - :before::bigint),
       array(select g.id from unnest(:lanes::uuid[]) as g (id)
              where exists (select from anzol.pending p where p.endpoint_id = g.id offset 0))
