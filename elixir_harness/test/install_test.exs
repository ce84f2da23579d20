defmodule InstallTest do
  @moduledoc """
  `script/install` in a machine that systemd runs: `script/systemd` starts one, and `HARNESS_SYSTEMD` names it. It sees
  the repository, and in `HARNESS_ENGINE_DIR` the socket of Docker.
  """
  use Harness.Case

  alias Otturnaut.{AppState, Deployment}

  @moduletag :install

  @unit "/etc/systemd/system/otturnaut.service"
  @caddy_unit "/etc/systemd/system/caddy-otturnaut.service"
  @settings "/etc/otturnaut/otturnaut.env"
  @program "/usr/local/bin/otturnaut"

  setup_all do
    machine = variable!("HARNESS_SYSTEMD")
    # Where it is only of this machine, and may be changed.
    {_, 0} = System.cmd("docker", ["cp", Agent.binary(), "#{machine}:/opt/otturnaut"])
    {_, 0} = System.cmd("docker", ["cp", variable!("HARNESS_CADDY"), "#{machine}:/opt/caddy"])
    proxy = %{admin_port: Ports.free(), http_port: Ports.free(), https_port: Ports.free()}
    # As Docker's own package makes it.
    inside!(machine, "groupadd --gid #{File.stat!(Engine.docker().socket).gid} docker")
    {:ok, machine: machine, outpost: :"outpost_#{Agent.unique()}@127.0.0.1", proxy: proxy}
  end

  defp variable!(name), do: System.get_env(name) || raise("#{name} is not set: script/test")

  defp inside(machine, script),
    do: System.cmd("docker", ["exec", machine, "bash", "-c", script], stderr_to_stdout: true)

  defp inside!(machine, script) do
    case inside(machine, script) do
      {output, 0} -> output
      {output, status} -> raise "#{script} ended with #{status}: #{output}"
    end
  end

  defp script, do: Path.expand("../../script/install", __DIR__)
  defp install(machine, args), do: inside(machine, "#{script()} #{args}")

  defp install!(machine, args) do
    {output, status} = install(machine, args)
    assert status == 0, output
    output
  end

  # Every file where software and its settings and data are, with its time and its content's.
  defp files(machine) do
    # What the system itself writes as it runs.
    own = "! -path '/var/log/*' ! -path '/var/lib/systemd/*' ! -path '/var/cache/*' ! -path '/var/tmp/*'"
    script = "find /etc /usr /opt /var -xdev #{own} -printf '%p %y %m %u %T@ %s\\n' | sort"
    machine |> inside!(script) |> String.split("\n", trim: true)
  end

  # By path alone and what it is, but for the lists of users, which name their former state beside them.
  defp paths(files) do
    for line <- files,
        [path, kind | _] = String.split(line),
        not (path =~ ~r"^/etc/(passwd|group|shadow|gshadow|sub[ug]id)-?$") do
      {path, kind}
    end
  end

  defp differences(before, now), do: (before -- now) ++ (now -- before)

  defp property!(machine, unit, name),
    do: inside!(machine, "systemctl show --value --property #{name} #{unit}") |> String.trim()

  defp pid!(machine, unit), do: property!(machine, unit, "MainPID")

  defp status!(machine, unit, field) do
    status = inside!(machine, "cat /proc/#{pid!(machine, unit)}/status")
    Regex.run(~r/^#{field}:[ \t]*(.*)$/m, status) |> List.last() |> String.split()
  end

  defp await!(node), do: Wait.until("#{node}", fn -> Node.ping(node) == :pong end)

  defp settings(c) do
    {low, high} = Ports.range()

    """
    RELEASE_NODE=#{c.outpost}
    RELEASE_COOKIE="#{Node.get_cookie()}"
    MISSION_CONTROL_HOST=#{node()}
    CONTAINER_SOCKET=#{variable!("HARNESS_ENGINE_DIR")}/docker.sock
    CADDY_ADMIN_URL=http://127.0.0.1:#{c.proxy.admin_port}
    OTTURNAUT_HTTP_PORT=#{c.proxy.http_port}
    OTTURNAUT_HTTPS_PORT=#{c.proxy.https_port}
    OTTURNAUT_AUTO_HTTPS=false
    OTTURNAUT_PORT_RANGE=#{low}-#{high}
    OTTURNAUT_DIST_BIND=127.0.0.1
    OTTURNAUT_DATA_DIR=/var/lib/otturnaut
    """
  end

  test "installed, used, installed again, upgraded, made root, and gone",
       %{machine: machine, proxy: caddy, app: app} = c do
    before = files(machine)
    node = c.outpost

    # What is wrong touches nothing.
    for {args, said} <- [
          {"/opt/nothing", "no program at"},
          {"/usr/bin/git", "no agent"},
          {"/opt/otturnaut --caddy /usr/bin/git --purge", "--purge goes with --undo"},
          {"--frob", "unknown option"}
        ] do
      {output, status} = install(machine, args)
      assert status != 0 and output =~ said
    end

    assert differences(before, files(machine)) == []

    # Nor another Caddy that wants the same ports.
    unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
    other = "/etc/systemd/system/caddy.service"
    inside!(machine, "echo #{Base.encode64(unit)} | base64 -d > #{other}; systemctl enable --quiet caddy")
    assert {refused, 1} = install(machine, "/opt/otturnaut --caddy /opt/caddy")
    assert refused =~ "caddy.service is there"
    inside!(machine, "systemctl disable --quiet caddy; rm #{other}; systemctl daemon-reload")
    assert differences(paths(before), paths(files(machine))) == []

    # The first time there is nothing to start with; the address of Caddy's admin API is this test's own.
    inside!(
      machine,
      "mkdir /etc/otturnaut; echo CADDY_ADMIN=127.0.0.1:#{caddy.admin_port} > /etc/otturnaut/caddy.env"
    )

    assert install!(machine, "/opt/otturnaut --caddy /opt/caddy") =~ "fill in RELEASE_NODE and RELEASE_COOKIE"
    assert inside!(machine, "stat -c '%a %U' #{@settings}") == "600 root\n"
    assert {_, 3} = inside(machine, "systemctl is-active otturnaut")
    assert inside!(machine, "systemctl is-enabled otturnaut caddy-otturnaut") == "enabled\nenabled\n"
    assert inside!(machine, "systemd-analyze verify --man=no #{@unit} #{@caddy_unit} 2>&1") == ""

    # Filled in, it runs; since the engine's socket is known now, with the group of that.
    encoded = Base.encode64(settings(c))
    inside!(machine, "echo #{encoded} | base64 -d > #{@settings}")
    assert install!(machine, "/opt/otturnaut --caddy /opt/caddy") =~ "is installed and runs"
    await!(node)

    assert inside!(machine, "id -u otturnaut") |> String.split() ==
             Enum.take(status!(machine, "otturnaut", "Uid"), 1)

    group = "#{File.stat!(Engine.docker().socket).gid}"
    assert group in status!(machine, "otturnaut", "Groups")
    assert ["0000000000000000"] == status!(machine, "otturnaut", "CapBnd")
    refute ["0"] == Enum.take(status!(machine, "caddy-otturnaut", "Uid"), 1)

    # Commands find it by its settings; root may ask an agent that is not.
    inside!(machine, "otturnaut ping")

    # It clones, builds and deploys, and Caddy serves.
    assert {:ok, d} = deploy(node, app, %{image: nil, env: %{}, source: repository!()})
    assert {:ok, 200, "one\n"} == Caddy.page(caddy, "#{app}.localhost")
    assert {:ok, %{status: :running}} = call(node, Otturnaut, :app, [app])
    assert %{status: :ok, exit_code: 0} = call(node, Otturnaut.Command, :run, ["git", ["--version"]])

    refute inside!(machine, "journalctl --unit caddy-otturnaut --no-pager") =~ "received request"

    # A second time changes nothing and restarts nothing.
    unchanged = &for(line <- &1, not (line =~ "/var/lib/"), do: line)
    installed = files(machine) |> unchanged.()
    pids = Enum.map(["otturnaut", "caddy-otturnaut"], &pid!(machine, &1))

    assert install!(machine, "/opt/otturnaut --caddy /opt/caddy") =~
             ~r/^otturnaut \S+ is installed and runs\n$/

    assert install!(machine, "/opt/otturnaut") =~ ~r/^otturnaut \S+ is installed and runs\n$/
    assert pids == Enum.map(["otturnaut", "caddy-otturnaut"], &pid!(machine, &1))
    assert differences(installed, files(machine) |> unchanged.()) == []

    # Another binary is put in place and runs; Caddy goes on, and so does the traffic.
    load = Load.start(caddy, "#{app}.localhost")
    Wait.until("requests", fn -> Load.total(load) > 50 end)
    inside!(machine, "cp /opt/otturnaut /opt/newer && echo >> /opt/newer")
    output = install!(machine, "/opt/newer")

    assert output =~ "installed #{@program}" and output =~ "restarted otturnaut" and
             not (output =~ "restarted caddy")

    await!(node)
    seen = Load.total(load)
    Wait.until("more requests", fn -> Load.total(load) > seen + 50 end)
    assert_served(Load.stop(load))
    inside!(machine, "cmp /opt/newer #{@program}")
    [before_upgrade, caddy_before] = pids
    assert caddy_before == pid!(machine, "caddy-otturnaut") and before_upgrade != pid!(machine, "otturnaut")
    assert {:ok, %{deployment_id: id}} = call(node, AppState, :get, [app])
    assert id == d.id

    # Killed, it comes back by itself.
    inside!(machine, "systemctl kill --signal KILL otturnaut")
    Wait.until("the agent anew", fn -> pid!(machine, "otturnaut") not in ["0", before_upgrade] end)
    await!(node)
    assert :ok == undeploy(node, d)

    # As root it runs native programs, too; a run that says nothing of it leaves it so.
    assert install!(machine, "/opt/newer --as-root") =~ "restarted otturnaut"
    await!(node)
    assert ["0" | _] = status!(machine, "otturnaut", "Uid")
    refute install!(machine, "/opt/newer") =~ "restarted"
    native!(c, app)

    # Undone, configuration and data stay; the second time there is nothing to undo.
    assert install!(machine, "--undo") =~ "kept /etc/otturnaut"
    assert {_, 4} = inside(machine, "systemctl status otturnaut")
    assert {_, 4} = inside(machine, "systemctl status caddy-otturnaut")
    assert inside!(machine, "ls #{@settings} /var/lib/otturnaut/journal; id otturnaut") =~ "otturnaut"
    assert install!(machine, "/opt/otturnaut --caddy /opt/caddy --as-user") =~ "is installed and runs"
    await!(node)
    refute hd(status!(machine, "otturnaut", "Uid")) == "0"
    assert install!(machine, "--undo --purge") =~ "removed the user otturnaut"
    install!(machine, "--undo --purge")

    # Or with what the environment says, and beside a Caddy of somebody else.
    cookie = ~S(a"b\c d)
    first = "RELEASE_NODE=#{node} RELEASE_COOKIE='#{cookie}'"
    inside!(machine, "#{first} #{script()} /opt/otturnaut --without-caddy")

    assert inside!(machine, "tr '\\0' '\\n' < /proc/#{pid!(machine, "otturnaut")}/environ") =~
             "RELEASE_COOKIE=#{cookie}\n"

    install!(machine, "--undo --purge")
    inside!(machine, "rm /opt/newer")
    # What the application wrote is its own and stays, as after any undeploy.
    left = for {path, _} <- differences(paths(before), paths(files(machine))), not (path =~ app), do: path
    assert left == []
    assert {_, 2} = inside(machine, "getent passwd otturnaut")
  end

  # A repository over the network, as git's daemon serves it: what a deployment says of it.
  defp repository! do
    dir = Repo.create!("one")
    port = Ports.free()

    args = [
      "daemon",
      "--reuseaddr",
      "--export-all",
      "--listen=127.0.0.1",
      "--port=#{port}",
      "--base-path=#{dir}",
      dir
    ]

    daemon = OsProcess.start("git", args: args)

    on_exit(fn ->
      OsProcess.stop(daemon)
      File.rm_rf!(dir)
    end)

    Wait.until("git's daemon", fn -> Ports.open?(port) end)
    %{repo_url: "git://127.0.0.1:#{port}/.git", ref: "main"}
  end

  defp native!(%{machine: machine, outpost: node, proxy: caddy}, app) do
    script = """
    #!/bin/sh
    mkdir -p /tmp/www; echo native > /tmp/www/index.html
    exec busybox httpd -f -p 127.0.0.1:$PORT -h /tmp/www
    """

    inside!(machine, "echo #{Base.encode64(script)} | base64 -d > /var/lib/otturnaut/program")

    native =
      deployment(node, app, %{
        artifact: {:load, "/var/lib/otturnaut/program"},
        image: nil,
        runtime: Otturnaut.Runtime.Systemd
      })

    assert {:ok, native} = execute(node, native)
    assert {:ok, 200, "native\n"} == Caddy.page(caddy, "#{app}.localhost")

    assert {:ok, [_]} =
             call(node, Deployment, :releases, [app]) |> then(&if(is_list(&1), do: {:ok, &1}, else: &1))

    assert :ok == undeploy(node, native)
  end
end
