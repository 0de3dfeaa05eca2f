delete from anzol_delivery where (message, endpoint) in (
    select d.message, d.endpoint from json_each(:messages) j cross join anzol_delivery d on d.message = j.value limit :most)
