defmodule ConfigTest do
  @moduledoc "The environment: everything wrong is said, by name, with exit code 64, and never the cookie."
  use Harness.Case

  @cookie "secret-cookie-that-nobody-may-read"

  @bad [
    {"RELEASE_NODE", nil},
    {"RELEASE_NODE", "two@hosts@here"},
    {"RELEASE_NODE", "blank name@127.0.0.1"},
    {"RELEASE_COOKIE", nil},
    {"MISSION_CONTROL_HOST", "a@b@c"},
    {"CADDY_ADMIN_URL", "not a url"},
    {"CADDY_ADMIN_URL", "ftp://127.0.0.1"},
    {"OTTURNAUT_HTTP_PORT", "http"},
    {"OTTURNAUT_HTTPS_PORT", "70000"},
    {"OTTURNAUT_AUTO_HTTPS", "perhaps"},
    {"OTTURNAUT_PORT_RANGE", "20-10"},
    {"OTTURNAUT_PORT_RANGE", "everything"},
    {"OTTURNAUT_DIST_PORT", "0"},
    {"OTTURNAUT_DIST_BIND", "here"},
    {"ERL_EPMD_PORT", "x"},
    {"OTTURNAUT_METRICS_ADDR", "9464"},
    {"OTTURNAUT_LOG", "=="},
    {"OTTURNAUT_LOG_FORMAT", "xml"},
    {"RELEASE_DISTRIBUTION", "carrier"}
  ]

  for {{variable, value}, number} <- Enum.with_index(@bad) do
    test "#{number}: #{variable}=#{inspect(value)} stops the start" do
      refused(unquote(variable), unquote(value))
    end
  end

  test "everything wrong is said at once" do
    {64, log} = run(%{"OTTURNAUT_HTTP_PORT" => "x", "OTTURNAUT_LOG_FORMAT" => "y"})
    assert log =~ "OTTURNAUT_HTTP_PORT" and log =~ "OTTURNAUT_LOG_FORMAT"
  end

  test "a cookie file that is not there" do
    {64, log} = run(%{"RELEASE_COOKIE" => nil, "RELEASE_COOKIE_FILE" => "/nowhere/cookie"})
    assert log =~ "RELEASE_COOKIE_FILE" and log =~ "/nowhere/cookie"
  end

  test "the cookie can come from a file" do
    file = Path.join(System.tmp_dir!(), "cookie-#{Agent.unique()}")
    File.write!(file, "#{Node.get_cookie()}\n")
    agent = own_agent!(env: %{"RELEASE_COOKIE" => nil, "RELEASE_COOKIE_FILE" => file})
    assert :pong == Node.ping(agent.node)
    File.rm!(file)
  end

  test "the cookie is in no log and in no process list, also at the most talkative" do
    agent = own_agent!(cookie: @cookie, env: %{"OTTURNAUT_LOG" => "trace"})
    call(agent.node, :erlang, :node, [])
    Node.set_cookie(agent.node, :something_else)
    Node.disconnect(agent.node)
    Node.ping(agent.node)
    refute Agent.log(agent) =~ @cookie
    refute File.read!("/proc/#{agent.process.os_pid}/cmdline") =~ @cookie
  end

  test "the log as JSON, one object a line" do
    agent = own_agent!(env: %{"OTTURNAUT_LOG_FORMAT" => "json", "OTTURNAUT_LOG" => "info"})
    assert [_ | _] = lines = Harness.Json.decode_lines(Agent.log(agent))
    assert Enum.all?(lines, &is_map/1)
  end

  test "a name that is taken, a port that is taken", %{rig: rig} do
    agent = Agent.launch(Agent.describe(env: %{"RELEASE_NODE" => "#{rig.agent.node}"}))
    assert OsProcess.await_exit(agent.process, 30_000) not in [0, 64]
    assert Agent.log(agent) =~ "name"
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    agent = Agent.launch(Agent.describe(env: %{"OTTURNAUT_DIST_PORT" => "#{port}"}))
    assert OsProcess.await_exit(agent.process, 30_000) not in [0, 64]
    assert Agent.log(agent) =~ "#{port}"
    :gen_tcp.close(socket)
  end

  test "arguments: version, help, nonsense" do
    for {args, status, text} <- [
          {["version"], 0, "otturnaut "},
          {["help"], 0, "start"},
          {["nonsense"], 64, "nonsense"}
        ] do
      agent = Agent.launch(Agent.describe(), args)
      assert status == OsProcess.await_exit(agent.process)
      assert Agent.log(agent) =~ text
    end
  end

  defp refused(variable, value) do
    {status, log} = run(%{variable => value})
    assert status == 64
    assert log =~ variable
    if value, do: assert(log =~ value)
    refute log =~ @cookie
  end

  defp run(env) do
    agent = Agent.launch(Agent.describe(cookie: @cookie, env: env))
    status = OsProcess.await_exit(agent.process)
    File.rm_rf!(agent.data_dir)
    {status, Agent.log(agent)}
  end
end
