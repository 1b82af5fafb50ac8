# Once, when the database is made: the pipeline's user, who owns it, and Grafana's, who reads.
psql --set=ON_ERROR_STOP=1 --username=postgres --dbname=marketpipeline \
    --set=pipeline="$PIPELINE_PASSWORD" --set=grafana="$GRAFANA_PASSWORD" <<'END'
CREATE ROLE marketpipeline LOGIN PASSWORD :'pipeline';
ALTER DATABASE marketpipeline OWNER TO marketpipeline;
CREATE ROLE grafana LOGIN PASSWORD :'grafana';
GRANT pg_read_all_data TO grafana;
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '30s';
END
