defmodule LivebookTest do
  @moduledoc "docs/mission-control.livemd: its cells, in order, against a real agent."
  use Harness.Case

  import ExUnit.CaptureIO

  alias Harness.Docs

  @moduletag :once

  @notebook Docs.path("mission-control.livemd")

  # Its application shows what it is told by its environment.
  defp repo! do
    repo = Repo.create!("v1")
    start = Path.join(repo, "start")
    File.write!(start, String.replace(File.read!(start), ~s(echo "$PAGE" >), ~s(echo "$PAGE $GREETING" >)))
    Repo.commit!(repo, "v1")
    on_exit(fn -> File.rm_rf!(repo) end)
    repo
  end

  test "its cells drive an outpost from the first deploy to the undeploy", %{app: app} do
    caddy = own_caddy!()
    agent = own_agent!(caddy: caddy)
    repo = repo!()
    on_exit(fn -> Engine.remove_image(Engine.docker(), "otturnaut-#{app}:#{Repo.head(repo)}") end)

    settings = %{
      "OUTPOST" => "#{agent.node}",
      "LB_OUTPOST_COOKIE" => "#{agent.cookie}",
      "OUTPOST_REPO" => "file://" <> repo,
      "OUTPOST_APP" => app,
      "OUTPOST_DOMAIN" => "#{app}.localhost"
    }

    System.put_env(settings)
    on_exit(fn -> for {name, _} <- settings, do: System.delete_env(name) end)
    page = fn -> Caddy.page(caddy, "#{app}.localhost") end

    # Of what it does: what is printed meanwhile, and what is served after it.
    wanted = %{
      "Deploy" => {"switch_route: ", {:ok, 200, "v1 one\n"}},
      "Logs" => {"stdout starting v1\n", {:ok, 200, "v1 one\n"}},
      "A new version" => {"start_container: ", {:ok, 200, "v1 two\n"}},
      "Back" => {"switch_route: ", {:ok, 200, "v1 one\n"}},
      "What happened" => {"deployment_completed\n", {:ok, 200, "v1 one\n"}}
    }

    sections = Docs.sections(@notebook)
    titles = Enum.map(sections, & &1.title)
    assert [] == Map.keys(wanted) -- titles

    Enum.reduce(sections, [], fn section, bindings ->
      {bindings, printed} = run(section, bindings)

      with {text, served} <- wanted[section.title] do
        assert printed =~ text, "#{section.title}: #{printed}"
        assert served == page.()
      end

      bindings
    end)

    assert_nothing_left(%{node: agent.node, caddy: caddy}, app)
  after
    :code.purge(MissionControl)
    :code.delete(MissionControl)
  end

  # All cells of a section; what they print.
  defp run(section, bindings) do
    cells = for part <- section.parts, {line, code} <- part.blocks, do: {line, code}

    with_io(fn ->
      Enum.reduce(cells, bindings, fn {line, code}, bindings ->
        {_, bindings} = Code.eval_string(code, bindings, file: @notebook, line: line)
        bindings
      end)
    end)
  end
end
