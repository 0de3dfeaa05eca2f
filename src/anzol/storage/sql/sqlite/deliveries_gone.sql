delete from anzol_delivery
 where (message, endpoint) in (select json_extract(value, '$[0]'), json_extract(value, '$[1]') from json_each(:ended))
