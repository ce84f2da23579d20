defmodule DocumentsTest do
  @moduledoc "What docs/operations.md says: texts are those of the agent, its certificates work; no link of a document leads nowhere."
  use Harness.Case

  alias Harness.Docs

  @moduletag :once

  @operations Docs.path("operations.md")

  test "texts of symptoms are those that the agent says" do
    said = for file <- sources("**/*.rs"), do: unbroken(File.read!(file))

    invented =
      for {line, text} <- symptoms(File.read!(@operations)),
          not Enum.any?(said, &Regex.match?(pattern(text), &1)),
          do: "operations.md:#{line}: #{text}"

    assert [] == invented
  end

  test "variables and metrics are those that there are" do
    text = File.read!(@operations)
    config = File.read!(Docs.path("../src/config/mod.rs"))

    for [name] <-
          Regex.scan(~r/\b(?:OTTURNAUT|RELEASE|MISSION_CONTROL|CADDY|CONTAINER)_[A-Z_]*[A-Z]\b/, text),
        do: assert(config =~ ~s("#{name}"), name)

    page = Enum.map_join(sources("metrics/*.rs"), &File.read!/1)

    for [name] <- Regex.scan(~r/\botturnaut_[a-z_0-9]+/, text), name != "otturnaut_events" do
      short = name |> String.replace_prefix("otturnaut_", "") |> String.replace(~r/(_bytes)?(_total)?$/, "")
      assert page =~ short, name
    end
  end

  test ".env.example has what docker-compose.yml takes" do
    names = fn file, pattern ->
      for [_, name] <- Regex.scan(pattern, File.read!(Docs.path("../" <> file))), uniq: true, do: name
    end

    # How the image is built is not the operator's.
    taken =
      Enum.reject(
        names.("docker-compose.yml", ~r/\$\{([A-Z_]+)/),
        &String.starts_with?(&1, "OTTURNAUT_BUILD_")
      )

    assert Enum.sort(taken) == Enum.sort(names.(".env.example", ~r/^([A-Z_]+)=/m))
  end

  test "a Caddy is told the same of its log wherever one is started" do
    words = fn file -> Docs.path("../" <> file) |> File.read!() |> String.replace(~r/\s/, "") end
    told = words.("packaging/caddy.json")
    assert told =~ "admin.api"

    for file <- ["docker-compose.yml", "docker-compose.dev.yml", "docs/operations.md"],
        do: assert(words.(file) =~ told, file)
  end

  test "the certificates that it makes connect Mission Control and an outpost" do
    dir = Path.join(System.tmp_dir!(), "harness-operations-#{Agent.unique()}")
    File.mkdir_p!(dir)
    on_exit(fn -> File.rm_rf!(dir) end)
    text = File.read!(@operations) |> String.replace("/etc/mission_control/tls", dir)
    [script] = blocks(text, "sh")
    [options] = blocks(text, "erlang")
    script = String.replace(script, ~r/10\.0\.0\.[25]/, "127.0.0.1")
    {output, status} = System.cmd("sh", ["-ec", script], cd: dir, stderr_to_stdout: true)
    assert status == 0, output
    assert output =~ "mission_control.pem: OK"
    File.write!(Path.join(dir, "dist.conf"), options)

    env = %{
      "OTTURNAUT_DIST_TLS_CERT" => Path.join(dir, "outpost1.pem"),
      "OTTURNAUT_DIST_TLS_KEY" => Path.join(dir, "outpost1.key"),
      "OTTURNAUT_DIST_TLS_CA" => Path.join(dir, "ca.pem")
    }

    agent = Agent.describe(env: env) |> Agent.launch()
    on_exit(fn -> Agent.dispose(agent) end)
    tls = [~c"-proto_dist", ~c"inet_tls", ~c"-ssl_dist_optfile", ~c"#{dir}/dist.conf"]
    peer = Peer.start!(args: tls)
    on_exit(fn -> Peer.stop(peer) end)
    Wait.until("the agent over TLS", fn -> Peer.call(peer, Node, :ping, [agent.node]) == :pong end)
  end

  test "bounds of the protocol are those of the agent" do
    limits = unbroken(File.read!(Docs.path("../src/limits.rs")))
    rows = Regex.scan(~r/^\| `([A-Z_]+)` \| (\d+) ?(\w*) \|/m, File.read!(Docs.path("protocol.md")))
    assert length(rows) > 30

    for [_, name, number, unit] <- rows do
      assert [_, value] = Regex.run(~r/pub const #{name}: \w+ = ([^;]+);/, limits), name
      assert {name, plain(value)} == {name, String.to_integer(number) * factor(unit)}
    end
  end

  test "links lead somewhere" do
    for path <- Path.wildcard(Docs.path("*.{md,livemd}")),
        [_, target] <- Regex.scan(~r/\]\(([^)]+)\)/, File.read!(path)),
        not String.starts_with?(target, "http") do
      [file | anchor] = String.split(target, "#")
      found = if file == "", do: path, else: Path.expand(file, Path.dirname(path))
      assert File.exists?(found), "#{Path.basename(path)}: #{target}"
      for name <- anchor, do: assert(name in anchors(File.read!(found)), "#{Path.basename(path)}: #{target}")
    end
  end

  # A number, or milliseconds of a duration.
  defp plain(value) do
    case Regex.run(~r/Duration::from_(\w+)\((\d+)\)/, value) do
      [_, unit, number] -> String.to_integer(number) * factor(unit)
      nil -> value |> String.replace("_", "") |> Code.eval_string() |> elem(0)
    end
  end

  defp factor(unit) do
    case unit do
      "" -> 1
      "KiB" -> 1024
      "MiB" -> 1024 * 1024
      of when of in ["ms", "millis"] -> 1
      of when of in ["s", "secs"] -> 1_000
      of when of in ["min", "mins"] -> 60_000
    end
  end

  defp sources(glob), do: Path.wildcard(Docs.path("../src/" <> glob))

  # What differs stands between braces in the source.
  defp pattern(text) do
    text
    |> String.split("...", trim: true)
    |> Enum.map_join("[^\"]*", &Regex.escape(String.trim(&1)))
    |> Regex.compile!()
  end

  # Texts that go on in the next line of the source.
  defp unbroken(source), do: String.replace(source, ~r/\\\n\s*/, "")

  # The code in the first column of the tables of symptoms that is neither an answer nor a name.
  defp symptoms(text) do
    for {row, line} <-
          text
          |> String.split("\n")
          |> Enum.with_index(1)
          |> Enum.drop_while(&(elem(&1, 0) != "## Troubleshooting")),
        String.starts_with?(row, "| "),
        [_, first | _] = String.split(row, "| "),
        [_, code] <- Regex.scan(~r/`([^`]+)`/, first),
        code =~ " ",
        not String.starts_with?(code, ["{", "System NOT"]),
        do: {line, code}
  end

  defp blocks(text, language), do: for([_, code] <- Regex.scan(~r/```#{language}\n(.*?)```/s, text), do: code)

  # As pages that show Markdown make them of headings.
  defp anchors(text) do
    for [_, title] <- Regex.scan(~r/^#+ (.*)$/m, text),
        do: title |> String.downcase() |> String.replace(~r/[^\w\- ]/u, "") |> String.replace(" ", "-")
  end
end
