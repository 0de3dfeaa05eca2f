-- How many deliveries wait in these lanes, counted no further than is asked.
select json_group_array(json_array(j.value, (
       select count(*) from (select 1 from anzol_pending p indexed by anzol_pending_lane
                              where p.endpoint = j.value limit :most))))
  from json_each(:lanes) j
