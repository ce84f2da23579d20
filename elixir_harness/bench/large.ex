defmodule Bench.Large do
  @moduledoc """
  What is large: a build context and an image's archive of 1 GiB, each through the agent and through the `docker` command in
  turn, and how much memory the agent takes for it.
  """
  import Bench.Report
  alias Harness.{Agent, OsProcess}
  alias Otturnaut.Runtime.Docker

  @rounds 3

  def run do
    dir = Path.join(System.tmp_dir!(), "otturnaut-large-#{Agent.unique()}")
    File.mkdir_p!(dir)
    for n <- 1..8, do: random!(Path.join(dir, "large#{n}"), 128)
    image = "otturnaut-large:#{Agent.unique()}"

    try do
      context(dir, image)
      load(dir, image)
    after
      docker(["rmi", "--force", image])
      File.rm_rf!(dir)
    end
  end

  # Of which an image takes nothing: what is measured is its way to the engine.
  defp context(dir, image) do
    File.write!(Path.join(dir, "Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n")
    agent = Agent.start!(env: %{"OTTURNAUT_LOG" => "info"})

    compare("1 GiB build context", agent, fn -> :ok end,
      own: fn -> {:ok, ^image} = :rpc.call(agent.node, Docker, :build_image, [dir, image, []]) end,
      cli: fn -> {_, 0} = docker(["build", "--quiet", "--no-cache", "--tag", image, dir]) end
    )
  end

  defp load(dir, image) do
    File.write!(Path.join(dir, "Dockerfile"), "FROM scratch\nCOPY large* /\n")
    archive = Path.join(System.tmp_dir!(), "otturnaut-large-#{Agent.unique()}.tar")
    {_, 0} = docker(["build", "--quiet", "--tag", image, dir])
    {_, 0} = docker(["save", "--output", archive, image])
    agent = Agent.start!(env: %{"OTTURNAUT_LOG" => "info"})

    compare("1 GiB image load", agent, fn -> {_, 0} = docker(["rmi", "--force", image]) end,
      own: fn -> {:ok, ^image} = :rpc.call(agent.node, Docker, :load_image, [archive]) end,
      cli: fn -> {_, 0} = docker(["load", "--quiet", "--input", archive]) end
    )

    File.rm!(archive)
  end

  # Each once before, in which caches are filled; then in turn.
  defp compare(name, agent, before, own: own, cli: cli) do
    took = fn work ->
      before.()
      elem(:timer.tc(work), 0)
    end

    took.(own)
    took.(cli)
    rounds = for _ <- 1..@rounds, do: {took.(own), took.(cli)}
    own = median(Enum.map(rounds, &elem(&1, 0)))
    cli = median(Enum.map(rounds, &elem(&1, 1)))
    # How fast it is, beside the command.
    speed = ratio(cli, own)
    report(name, "#{ms(own)}, docker #{ms(cli)}", ">= 0.95 of docker: #{speed}", speed >= 0.95)
    peak = OsProcess.memory(agent.process, :peak)
    report("#{name}, peak resident", mib(peak), "<= 30 MiB", peak <= 30 * 1024)
    Agent.dispose(agent)
  end

  defp docker(args) do
    System.cmd("docker", args, stderr_to_stdout: true, env: [{"DOCKER_BUILDKIT", "0"}])
  end

  defp random!(path, mebibytes) do
    file = File.open!(path, [:write, :raw])
    for _ <- 1..mebibytes, do: :ok = IO.binwrite(file, :crypto.strong_rand_bytes(1024 * 1024))
    File.close(file)
  end
end
