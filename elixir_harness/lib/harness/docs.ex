defmodule Harness.Docs do
  @moduledoc """
  The documents of `docs/`, run as they stand: the code of their ```` ```elixir ```` blocks.

  A block is a cell, or, if it has lines with `iex>`, a row of examples: an expression (further lines begin with `...>`) and
  what it gives. That is a pattern: maps may have more keys, `...` stands for anything, at the end of a list for its rest.
  Variables live until the next heading of the second level.
  """

  @docs Path.expand("../../../docs", __DIR__)

  @doc "The path of a document."
  def path(name), do: Path.join(@docs, name)

  @doc """
  The sections of a document by its headings of the second level: `title`, and `parts` by those of the third (the first part,
  what stands before them, has none): `title`, `line`, and `blocks` of `{line, code}`.
  """
  def sections(path) do
    path
    |> File.read!()
    |> String.split("\n")
    |> Enum.with_index(1)
    |> Enum.reduce({[section("")], nil}, &line/2)
    |> elem(0)
    |> Enum.map(fn section -> %{section | parts: section.parts |> Enum.map(&in_order/1) |> Enum.reverse()} end)
    |> Enum.reverse()
  end

  defp section(title), do: %{title: title, parts: [part("", 0)]}
  defp part(title, line), do: %{title: title, line: line, blocks: []}
  defp in_order(part), do: %{part | blocks: Enum.reverse(part.blocks)}

  # In a block: its first line, its code so far, whether it is Elixir's.
  defp line({"```" <> language, at}, {sections, nil}), do: {sections, {at + 1, [], language == "elixir"}}

  defp line({"```" <> _, _}, {sections, {first, code, elixir?}}) do
    code = code |> Enum.reverse() |> Enum.join("\n")
    {if(elixir?, do: add(sections, {first, code}), else: sections), nil}
  end

  defp line({text, _}, {sections, {first, code, elixir?}}), do: {sections, {first, [text | code], elixir?}}
  defp line({"## " <> title, _}, {sections, nil}), do: {[section(title) | sections], nil}

  defp line({"### " <> title, at}, {[section | rest], nil}),
    do: {[%{section | parts: [part(title, at) | section.parts]} | rest], nil}

  defp line(_, state), do: state

  defp add([%{parts: [part | parts]} = section | rest], block),
    do: [%{section | parts: [%{part | blocks: [block | part.blocks]} | parts]} | rest]

  @doc """
  Runs all examples of a document in its order, each section with `bindings` and what it binds itself. Answers what was not
  as it stands there, as texts with the line.
  """
  def run_examples(path, bindings) do
    # Each in a process of its own: nobody reads what was told another, and what has a subscriber ends with it.
    for section <- sections(path),
        failure <- fn -> run_section(section, path, bindings) end |> Task.async() |> Task.await(:infinity),
        do: failure
  end

  defp run_section(section, path, bindings) do
    examples = for part <- section.parts, block <- part.blocks, example <- examples(block), do: example

    {failures, _} =
      Enum.reduce(examples, {[], bindings}, fn {line, source, expected}, {failures, bindings} ->
        case example(source, expected, bindings) do
          {:ok, bindings} -> {failures, bindings}
          {:error, why} -> {["#{Path.basename(path)}:#{line}: iex> #{source}\n#{why}" | failures], bindings}
        end
      end)

    Enum.reverse(failures)
  end

  @doc "The examples of a block: `{line, source, what it gives}`, the last `\"\"` if nothing is said."
  def examples({first, code}) do
    code
    |> String.split("\n")
    |> Enum.with_index(first)
    |> Enum.reduce([], fn
      {"iex> " <> source, line}, done -> [{line, [source], []} | done]
      {"...> " <> more, _}, [{line, source, expected} | done] -> [{line, [more | source], expected} | done]
      {text, _}, [{line, source, expected} | done] -> [{line, source, [text | expected]} | done]
      _, [] -> []
    end)
    |> Enum.map(fn {line, source, expected} -> {line, joined(source), String.trim(joined(expected))} end)
    |> Enum.reverse()
  end

  defp joined(lines), do: lines |> Enum.reverse() |> Enum.join("\n")

  defp example(source, expected, bindings) do
    {got, bindings} = Code.eval_string(source, bindings)
    if expected == "", do: {:ok, bindings}, else: match(expected, got, bindings)
  rescue
    error -> {:error, "raised #{Exception.message(error)}"}
  catch
    kind, reason -> {:error, "ended with #{inspect({kind, reason})}"}
  end

  defp match(expected, got, bindings) do
    pattern = expected |> Code.string_to_quoted!() |> Macro.prewalk(&blanks/1)

    try do
      {_, bindings} =
        Code.eval_quoted({:=, [], [pattern, {:got_here, [], nil}]}, [{:got_here, got} | bindings])

      {:ok, Keyword.delete(bindings, :got_here)}
    rescue
      MatchError -> {:error, "  wanted #{expected}\n  got    #{inspect(got, limit: :infinity, pretty: true)}"}
    end
  end

  defp blanks(list) when is_list(list) and list != [] do
    case {Enum.drop(list, -2), Enum.take(list, -2)} do
      {_, [{:..., _, _}]} -> {:_, [], nil}
      {before, [last, {:..., _, _}]} -> before ++ [{:|, [], [last, {:_, [], nil}]}]
      _ -> list
    end
  end

  defp blanks({:..., _, _}), do: {:_, [], nil}
  defp blanks(other), do: other

  @doc """
  The functions that a document's sections describe: those whose title names modules, each part with a signature as title,
  as `{module, name, arity}` with `line` and `code`, all code of the part.
  """
  def functions(path) do
    for section <- sections(path),
        [_, module] <- Regex.scan(~r/`(Otturnaut[\w.]*)`/, section.title),
        part <- section.parts,
        part.title != "",
        {name, arity} <- signature(part.title) do
      code = Enum.map_join(part.blocks, "\n", &elem(&1, 1))
      %{function: {Module.concat([module]), name, arity}, line: part.line, code: code}
    end
  end

  # `put(app_id, app, server \\\\ ...)`: its name with each number of arguments that it takes.
  defp signature(title) do
    with "`" <> code <- title,
         {:ok, {name, _, args}} when is_list(args) <-
           code |> String.trim_trailing("`") |> Code.string_to_quoted() do
      optional = Enum.count(args, &match?({:\\, _, _}, &1))
      for arity <- (length(args) - optional)..length(args), do: {name, arity}
    else
      _ -> []
    end
  end

  @doc "All modules of the agent that its sources name: those that have functions it says itself."
  def named_modules do
    for file <- Path.wildcard(Path.expand("../src/**/*.rs", @docs)),
        [_, name] <- Regex.scan(~r/"Elixir\.(Otturnaut[\w.]*)"/, File.read!(file)),
        uniq: true,
        do: Module.concat([name])
  end
end
