-- Of these lanes those in which nothing is in flight.
select json_group_array(j.value) from json_each(:lanes) j
 where not exists (select 1 from anzol_pending p where p.endpoint = j.value and p.holder = :me)
