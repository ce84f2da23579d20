defmodule LogLinesTest do
  @moduledoc "How the log reads at `info`: a line an event, the same names of fields everywhere, nothing while nothing happens."
  use Harness.Case

  alias Harness.LogLine

  @moduletag :once

  # Fields with a time, by their name in text; in JSON they end with `_ms`.
  @times ["duration", "after"]

  defp agent!(format) do
    caddy = own_caddy!()

    env = %{
      "OTTURNAUT_LOG" => "info",
      "OTTURNAUT_LOG_FORMAT" => format,
      "OTTURNAUT_METRICS_ADDR" => metrics()
    }

    {own_agent!(caddy: caddy, env: env), caddy}
  end

  defp metrics, do: "127.0.0.1:#{Ports.free()}"

  # Two versions, one that fails, a way back, a build, and the end of it all.
  defp life!(node, app) do
    repo = Repo.create!("one")
    on_exit(fn -> File.rm_rf!(repo) end)
    source = %{repo_url: repo, ref: "main"}
    assert {:ok, first} = deploy(node, app, %{image: nil, source: source})
    assert {:ok, second} = deploy(node, app, %{env: %{"PAGE" => "two"}})
    check = [type: :http, path: "/", deadline: 3_000]

    assert {:error, :health_check_failed, third} =
             deploy(node, app, %{env: %{"EXIT_AFTER" => "0"}}, health_check: check)

    assert {:ok, _} = call(node, Otturnaut.Deployment, :rollback, [app])
    args = ["-c", "echo argument-of-a-command"]

    assert %{exit_code: 0} =
             call(node, Otturnaut.Command, :run, ["sh", args, [env: %{"WORD" => "value-of-a-variable"}]])

    assert {:error, _} = call(node, Otturnaut.Build, :run, [app, %{source | ref: "nowhere"}, []])
    assert :ok == undeploy(node, second)
    %{first: first.id, second: second.id, third: third.id}
  end

  # Those of an application, `{level, message, deployment}`, for a person who reads what became of it.
  defp told(lines, app),
    do:
      for(
        line <- lines,
        line.fields["app_id"] == app,
        do: {line.level, line.message, line.fields["deployment_id"]}
      )

  defp assert_life(lines, app, ids) do
    assert [
             {"info", "deploy began", ids.first},
             {"info", "deploy switched", ids.first},
             {"info", "deploy completed", ids.first},
             {"info", "deploy began", ids.second},
             {"info", "deploy switched", ids.second},
             {"info", "deploy completed", ids.second},
             {"info", "deploy began", ids.third},
             {"warn", "deploy failed", ids.third},
             {"info", "rollback began", ids.first},
             {"info", "rollback switched", ids.first},
             {"info", "rollback completed", ids.first},
             {"info", "build began", nil},
             {"warn", "build failed", nil},
             {"info", "undeploy began", ids.second},
             {"info", "undeploy completed", ids.second}
           ] == told(lines, app)
  end

  defp line(lines, message, id),
    do:
      Enum.find(lines, &(&1.message == message and &1.fields["deployment_id"] == id)) ||
        flunk("no #{message}")

  test "the lines of a life, as text", %{app: app} do
    {agent, caddy} = agent!("text")
    ids = life!(agent.node, app)
    Caddy.stop(caddy)
    Wait.until("the line of Caddy's end", fn -> Agent.log(agent) =~ "Caddy does not answer" end)
    Caddy.start!(caddy)
    Wait.until("the line of its return", fn -> Agent.log(agent) =~ "Caddy answers again" end)
    Node.disconnect(agent.node)
    Wait.until("the line of the link's end", fn -> Agent.log(agent) =~ "disconnected" end)
    assert 0 == Agent.stop(agent)
    lines = LogLine.text!(Agent.log(agent))
    assert_life(lines, app, ids)

    assert line(lines, "deploy began", ids.first).fields["source"] =~ ~r/^\/.* at main$/
    assert line(lines, "deploy began", ids.second).fields["image"] == Images.web()

    completed = line(lines, "deploy completed", ids.first).fields

    assert LogLine.ms(completed["duration"]) >=
             LogLine.ms(line(lines, "deploy switched", ids.first).fields["after"])

    assert completed["port"] =~ ~r/^\d+$/
    steps = for step <- String.split(completed["steps"], ", "), do: String.split(step, " ")
    assert {["fetch_source", _], ["obtain_image", _]} = {hd(steps), Enum.at(steps, 1)}
    assert Enum.sum(for [_, time] <- steps, do: LogLine.ms(time)) <= LogLine.ms(completed["duration"])

    failed = line(lines, "deploy failed", ids.third).fields
    assert %{"step" => "health_check", "undone" => "start_container"} = failed
    assert failed["error"] =~ "exited with code 1"
    refute Map.has_key?(failed, "stuck")

    assert [%{fields: %{"why" => "the peer closed the connection", "peer" => peer}} | _] =
             Enum.filter(lines, &(&1.message == "disconnected"))

    assert peer == "#{node()}"

    assert Enum.any?(
             lines,
             &(&1.message == "the container engine answers" and &1.fields["engine"] == "docker")
           )

    assert %{message: "ended"} = List.last(lines)
    for %{fields: fields} <- lines, name <- @times, time = fields[name], do: assert(LogLine.ms(time) >= 0)

    # Arguments and variables of commands may be secrets.
    refute Agent.log(agent) =~ "argument-of-a-command"
    refute Agent.log(agent) =~ "value-of-a-variable"
    refute Agent.log(agent) =~ "\e"
  end

  test "the same as JSON", %{app: app} do
    {agent, _} = agent!("json")
    ids = life!(agent.node, app)
    assert 0 == Agent.stop(agent)
    lines = LogLine.json!(Agent.log(agent))
    assert_life(lines, app, ids)
    completed = line(lines, "deploy completed", ids.first).fields
    assert Enum.sort(Map.keys(completed)) == ~w(app_id deployment_id duration_ms port steps)
    assert is_integer(completed["duration_ms"]) and is_integer(completed["port"])
    assert is_integer(line(lines, "deploy switched", ids.first).fields["after_ms"])
    failed = line(lines, "deploy failed", ids.third).fields
    assert Enum.sort(Map.keys(failed)) == ~w(app_id deployment_id duration_ms error step steps undone)
    assert Enum.any?(lines, &(&1.message == "ready" and &1.fields["node"] == "#{agent.node}"))
  end

  test "nothing is said while nothing happens", %{app: app} do
    {agent, caddy} = agent!("text")
    assert {:ok, d} = deploy(agent.node, app, %{health_check: %{type: :http, path: "/health", interval: 500}})

    Wait.until("both engines and Caddy to be known", fn ->
      log = Agent.log(agent)
      log =~ "engine=docker" and log =~ "engine=podman" and log =~ "ready"
    end)

    before = Agent.log(agent)
    # Time for rounds of health (of 0.5 s), of Caddy (1 s) and of engines (5 s).
    receive do
      nothing -> flunk(inspect(nothing))
    after
      6_000 -> :ok
    end

    assert {:ok, 200, "one\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert "" == String.replace_prefix(Agent.log(agent), before, "")
    assert :ok == undeploy(agent.node, d)
  end

  test "a command has a line at debug, with its time and its exit code and without its arguments" do
    agent = own_agent!(env: %{"OTTURNAUT_LOG" => "info,otturnaut::host=debug"})

    assert %{exit_code: 3} =
             call(agent.node, Otturnaut.Command, :run, ["sh", ["-c", "exit 3; # hidden-word"]])

    Wait.until("its line", fn -> Agent.log(agent) =~ "a command ended program=sh" end)
    assert [line] = agent |> Agent.log() |> LogLine.text!() |> Enum.filter(&(&1.fields["program"] == "sh"))
    assert %{level: "debug", fields: %{"exit_code" => "3", "duration" => time}} = line
    assert LogLine.ms(time) < 10_000
    refute Agent.log(agent) =~ "hidden-word"
  end
end
