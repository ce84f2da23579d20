defmodule CaddyTest do
  @moduledoc "Otturnaut.Caddy, .Route and .Client against a real Caddy."
  use Harness.Case

  alias Otturnaut.Caddy, as: Proxy
  alias Otturnaut.Caddy.{Client, Route}

  defp route(app, port \\ 8080),
    do: %Route{id: "#{app}-route", domains: ["#{app}.localhost"], upstream_port: port}

  test "routes are added, replaced, read, listed and removed", %{node: node, caddy: caddy, app: app} do
    id = "#{app}-route"
    assert :ok == call(node, Proxy, :health_check, [])
    assert :ok == call(node, Proxy, :add_route, [route(app)])
    assert {:ok, route(app)} == call(node, Proxy, :get_route, [id])
    assert :ok == call(node, Proxy, :add_route, [route(app, 9090)])
    assert {:ok, route(app, 9090)} == call(node, Proxy, :get_route, [id])
    assert {:ok, routes} = call(node, Proxy, :list_routes, [])
    assert [route(app, 9090)] == Enum.filter(routes, &(&1.id == id))
    assert 1 == Enum.count(Caddy.route_ids(caddy), &(&1 == id))
    assert :ok == call(node, Proxy, :remove_route, [id])
    assert {:error, :not_found} == call(node, Proxy, :get_route, [id])
  end

  test "what is not there", %{node: node} do
    assert {:error, :not_found} == call(node, Proxy, :get_route, ["nope"])

    assert {:error, {:unexpected_status, 404, %{"error" => "unknown object ID 'nope'"}}} ==
             call(node, Proxy, :remove_route, ["nope"])
  end

  test "an empty Caddy: no routes; options name another Caddy", %{node: node, app: app} do
    other = own_caddy!()

    opts = [
      base_url: Caddy.admin_url(other),
      http_port: other.http_port,
      https_port: other.https_port,
      disable_auto_https: true
    ]

    assert {:ok, []} == call(node, Proxy, :list_routes, [opts])
    assert :ok == call(node, Proxy, :add_route, [route(app), opts])
    assert ["#{app}-route"] == Caddy.route_ids(other)
    server = Caddy.config(other, "apps/http/servers/otturnaut")
    assert ":#{other.http_port}" in server["listen"]
    assert inspect(server) =~ "127.0.0.1:8080"
    refute inspect(server) =~ "localhost:8080"
  end

  test "the rest of Caddy's configuration is not the agent's", %{node: node, app: app} do
    other = own_caddy!()
    port = Ports.free()

    theirs = %{
      "listen" => ["127.0.0.1:#{port}"],
      "routes" => [%{"handle" => [%{"handler" => "static_response", "body" => "theirs"}]}]
    }

    Caddy.load!(other, %{
      "apps" => %{"http" => %{"servers" => %{"theirs" => theirs}}},
      "admin" => %{"listen" => "127.0.0.1:#{other.admin_port}"}
    })

    opts = [
      base_url: Caddy.admin_url(other),
      http_port: other.http_port,
      https_port: other.https_port,
      disable_auto_https: true
    ]

    assert :ok == call(node, Proxy, :add_route, [route(app), opts])
    assert :ok == call(node, Proxy, :remove_route, ["#{app}-route", opts])
    assert theirs == Caddy.config(other, "apps/http/servers/theirs")
    assert {:ok, 200, "theirs"} == Http.get({"127.0.0.1", port}, "/")
  end

  test "sixteen routes added at once are all there", %{node: node, caddy: caddy, app: app} do
    routes = for n <- 1..16, do: route("#{app}-#{n}", 20_000 + n)

    added =
      routes
      |> Enum.map(&Task.async(fn -> call(node, Proxy, :add_route, [&1]) end))
      |> Task.await_many(60_000)

    assert Enum.all?(added, &(&1 == :ok))
    ids = Enum.map(routes, & &1.id)
    assert ids -- Caddy.route_ids(caddy) == []

    removed =
      ids
      |> Enum.map(&Task.async(fn -> call(node, Proxy, :remove_route, [&1]) end))
      |> Task.await_many(60_000)

    assert Enum.all?(removed, &(&1 == :ok))
    assert ids -- Caddy.route_ids(caddy) == ids
  end

  test "routes and Caddy's own form of them", %{node: node} do
    assert %Route{id: "r", domains: ["a.b"], upstream_port: 1} == call(node, Route, :new, ["r", "a.b", 1])
    route = call(node, Route, :new, ["r", ["a.b", "c.d"], 1])
    assert %Route{id: "r", domains: ["a.b", "c.d"], upstream_port: 1} == route
    config = call(node, Route, :to_caddy_config, [route])
    assert %{"@id" => "r", "match" => [%{"host" => ["a.b", "c.d"]}]} = config
    assert {:ok, route} == call(node, Route, :from_caddy_config, [config])
    assert {:error, text} = call(node, Route, :from_caddy_config, [%{"what" => 1}])
    assert is_binary(text)
  end

  test "the client gives Caddy's admin API as it is", %{node: node} do
    other = own_caddy!()
    opts = [base_url: Caddy.admin_url(other)]
    assert :ok == call(node, Client, :health_check, [opts])
    assert {:ok, %{"admin" => _} = empty} = call(node, Client, :get_config, ["", opts])
    refute Map.has_key?(empty, "apps")
    server = %{"listen" => ["127.0.0.1:#{Ports.free()}"], "routes" => [%{"@id" => "one", "terminal" => true}]}
    apps = %{"http" => %{"servers" => %{"x" => server}}}
    assert :ok == call(node, Client, :set_config, ["apps", apps, opts])
    assert {:ok, %{"terminal" => true}} = call(node, Client, :get_by_id, ["one", opts])
    assert :ok == call(node, Client, :append_config, ["apps/http/servers/x/routes", %{"@id" => "two"}, opts])

    assert {:ok, [_, %{"@id" => "two"}]} =
             call(node, Client, :get_config, ["apps/http/servers/x/routes", opts])

    assert :ok == call(node, Client, :put_by_id, ["two", %{"@id" => "two", "group" => "g"}, opts])
    assert {:ok, %{"group" => "g"}} = call(node, Client, :get_by_id, ["two", opts])

    assert :ok ==
             call(node, Client, :patch_config, [
               "apps/http/servers/x/routes/1",
               %{"@id" => "two", "group" => "h"},
               opts
             ])

    assert :ok == call(node, Client, :delete_by_id, ["two", opts])
    assert :ok == call(node, Client, :delete_config, ["apps/http/servers/x", opts])
    assert {:error, {:unexpected_status, 404, _}} = call(node, Client, :get_by_id, ["two", opts])
  end

  test "Caddy that is down is :caddy_unavailable everywhere", %{node: node, app: app} do
    opts = [base_url: "http://127.0.0.1:#{Ports.free()}"]
    down = {:error, :caddy_unavailable}
    assert down == call(node, Proxy, :health_check, [opts])
    assert down == call(node, Proxy, :list_routes, [opts])
    assert down == call(node, Proxy, :add_route, [route(app), opts])
    assert down == call(node, Proxy, :get_route, ["x", opts])
    assert down == call(node, Proxy, :remove_route, ["x", opts])
    assert down == call(node, Client, :health_check, [opts])
    assert down == call(node, Client, :get_config, ["", opts])
  end
end
