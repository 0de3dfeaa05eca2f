update anzol_attempt set response_headers = '[]', response_body = x'', note = 'erased' where id = :id
