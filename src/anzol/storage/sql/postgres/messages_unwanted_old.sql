select id from anzol.message where unwanted and created_at < :before order by created_at limit :most
