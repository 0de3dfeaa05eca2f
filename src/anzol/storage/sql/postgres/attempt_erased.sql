update anzol.attempt set response_headers = '[]', response_body = '', note = 'erased' where id = :id
