select json_group_array(seq) from (
    select seq from anzol_message where unwanted = 1 and created_at < :before order by created_at limit :most)
