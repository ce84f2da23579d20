defmodule Harness.LogLine do
  @moduledoc "Lines of the agent's log, of either form, taken apart: `at`, `level`, `message`, `fields` (texts and numbers)."

  defstruct [:at, :level, :message, :fields, :text]

  @line ~r/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (ERROR|WARN |INFO |DEBUG|TRACE) (.*)$/
  # The last of a message's words that are fields: a name, and a word or a text between quotes.
  @fields ~r/^(.*?)((?: [a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"=]+))*)$/
  @field ~r/ ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)/

  @doc "All lines of a log as text; raises at one that is none."
  def text!(log), do: log |> lines!() |> Enum.map(&of_text!/1)

  @doc "The same of a log as JSON."
  def json!(log), do: log |> lines!() |> Enum.map(&of_json!/1)

  @doc "Milliseconds of a duration as the text has it."
  def ms(text) do
    case Regex.run(~r/^(?:(\d{1,4})ms|(\d+)\.(\d)s)$/, text) do
      [_, ms] -> String.to_integer(ms)
      [_, "", seconds, tenth] -> String.to_integer(seconds) * 1000 + String.to_integer(tenth) * 100
    end
  end

  # The last one is whole as well.
  defp lines!(log) do
    unless String.ends_with?(log, "\n"), do: raise("the log ends within a line: #{inspect(log)}")
    log |> String.trim_trailing("\n") |> String.split("\n")
  end

  defp of_text!(line) do
    with [_, at, level, rest] <- Regex.run(@line, line),
         [_, message, fields] <- Regex.run(@fields, rest) do
      fields = for [_, name, value] <- Regex.scan(@field, fields), into: %{}, do: {name, value(value)}
      level = level |> String.trim() |> String.downcase()
      %__MODULE__{at: at, level: level, message: message, fields: fields, text: line}
    else
      _ -> raise "not a line of the log: #{inspect(line)}"
    end
  end

  defp of_json!(line) do
    %{"timestamp" => at, "level" => level, "message" => message} = all = Harness.Json.decode(line)
    fields = Map.drop(all, ["timestamp", "level", "message"])
    for {_, value} <- fields, is_map(value) or is_list(value), do: raise("it is not flat: #{line}")
    %__MODULE__{at: at, level: level, message: message, fields: fields, text: line}
  end

  defp value("\"" <> quoted) do
    quoted |> String.slice(0..-2//1) |> String.replace(~r/\\(["\\])/, "\\1")
  end

  defp value(word), do: word
end
