defmodule ApiDocsTest do
  @moduledoc "docs/api.md: each of its examples against a real agent, and that it has all functions and no others."
  use Harness.Case

  alias Harness.Docs

  @moduletag :once

  @document Docs.path("api.md")

  test "the examples give what stands below them", %{image: image} do
    caddy = own_caddy!()
    agent = own_agent!(caddy: caddy)
    repo = Repo.create!("v1")
    archive = Path.join(System.tmp_dir!(), "otturnaut-docs-#{Agent.unique()}.tar")
    Engine.save!(Engine.docker(), image, archive)

    on_exit(fn ->
      clean_up(agent.node)
      Engine.remove_image(Engine.docker(), "otturnaut-shop:#{Repo.head(repo)}")
      File.rm_rf!(repo)
      File.rm!(archive)
    end)

    bindings = [node: agent.node, repo: "file://" <> repo, image: image, archive: archive]
    failures = Docs.run_examples(@document, bindings)
    assert [] == failures, Enum.join(failures, "\n\n")
  end

  test "every function of the agent has a section with an example, and no section is of another", %{
    node: node
  } do
    described = Docs.functions(@document)

    there =
      for module <- Docs.named_modules(),
          functions = call(node, module, :__info__, [:functions]),
          is_list(functions),
          {name, arity} <- functions,
          do: {module, name, arity}

    assert length(there) > 100
    listed = Enum.map(described, & &1.function)
    assert [] == there -- listed, "without a section: #{inspect(there -- listed)}"
    assert [] == listed -- there, "not there, or twice: #{inspect(listed -- there)}"

    for %{function: {_, name, _}, code: code, line: line} <- described,
        do: assert(code =~ ", #{inspect(name)}, [", "#{@document}:#{line} has no example of #{name}")
  end

  test "Erlang's own functions that it lists are there", %{node: node} do
    listed =
      for [_, module, functions] <- Regex.scan(~r/^\| `(:\w+|System)` \| (.*) \|$/m, File.read!(@document)),
          [_, name, arities] <- Regex.scan(~r/`(\w+)\/([\d,]+)`/, functions),
          arity <- String.split(arities, ","),
          do: {module(module), String.to_atom(name), String.to_integer(arity)}

    assert length(listed) > 50
    missing = for {m, f, a} = mfa <- listed, not call(node, :erlang, :function_exported, [m, f, a]), do: mfa
    assert [] == missing
  end

  defp module(":" <> name), do: String.to_atom(name)
  defp module(name), do: Module.concat([name])

  # The engine alone knows what an agent of that name has left: it is stopped by then.
  defp clean_up(node) do
    for app <- ["shop", "blog", "wiki"],
        container <- Engine.containers(Engine.docker(), app),
        container["Labels"]["otturnaut.outpost"] == "#{node}",
        do: Engine.remove(Engine.docker(), container["Id"])

    for app <- ["shop", "blog", "wiki"], do: clean(app)
  end

  setup do
    {:ok, image: Images.web()}
  end
end
