delete from anzol_lane where endpoint in (
    select l.endpoint from anzol_lane l indexed by anzol_lane_deleted
     where l.parked >= 4 and l.holder is null
       and not exists (select 1 from anzol_pending p where p.endpoint = l.endpoint)
     limit :most)
