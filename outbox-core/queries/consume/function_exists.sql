select to_regprocedure($1) is not null
