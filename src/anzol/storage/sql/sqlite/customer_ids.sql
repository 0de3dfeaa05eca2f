-- Of the given uids those that have a row.
select json_group_array(json_array(c.uid, hex(c.id)))
  from json_each(:uids) j cross join anzol_customer c on c.environment = :environment and c.uid = j.value
