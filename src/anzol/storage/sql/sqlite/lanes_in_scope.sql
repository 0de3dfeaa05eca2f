select json_group_array(e.seq) from anzol_endpoint e
 where e.environment = :environment and e.deleted_at is null
   and (:customer_id is null or e.customer_id = :customer_id) and (:endpoint is null or e.seq = :endpoint)
