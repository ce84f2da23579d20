defmodule RemoteShellTest do
  @moduledoc "The shell by `iex --remsh` on a terminal: what is typed, shown, completed, and how it ends on both sides."
  use Harness.Case

  alias Harness.Pty

  @modern String.to_integer(System.otp_release()) >= 26

  defp open!(agent, program \\ "iex") do
    name = "night_#{Agent.unique()}@127.0.0.1"

    remote =
      case program do
        "iex" -> "iex --name #{name} --cookie #{agent.cookie} --hidden --remsh #{agent.node}"
        "erl" -> "erl -name #{name} -setcookie #{agent.cookie} -hidden -remsh #{agent.node}"
      end

    pty = Pty.start!(remote)
    on_exit(fn -> Pty.close(pty) end)
    Pty.await!(pty, prompt(agent, 1))
    pty
  end

  defp own_remote!(agent) do
    env = for {name, value} <- agent.env, value, name =~ ~r/^(OTTURNAUT|RELEASE)/, do: "#{name}=#{value}"
    pty = Pty.start!("env #{Enum.join(env, " ")} #{Agent.binary()} remote")
    on_exit(fn -> Pty.close(pty) end)
    Pty.await!(pty, prompt(agent, 1))
    pty
  end

  defp prompt(agent, number), do: "iex(#{agent.node})#{number}>"

  # A line, and what is shown up to the next prompt.
  defp ask(pty, agent, {line, number}) do
    Pty.line(pty, line)
    Pty.await!(pty, prompt(agent, number))
  end

  defp shells(agent) do
    for pid <- call(agent.node, :erlang, :processes, []),
        {:initial_call, {module, :start, _}} <- [
          call(agent.node, :erlang, :process_info, [pid, :initial_call])
        ],
        module in [:iex, IEx, :shell],
        do: pid
  end

  defp await_shells(agent, count) do
    Wait.until("#{count} shells", fn -> length(shells(agent)) == count end)
  end

  setup_all do
    agent = Harness.Agent.start!()
    on_exit(fn -> Harness.Agent.dispose(agent) end)
    %{agent: agent}
  end

  setup %{agent: agent} do
    await_shells(agent, 0)
    :ok
  end

  test "lines are evaluated, over several lines too, and remembered", %{agent: agent} do
    pty = open!(agent)
    assert ask(pty, agent, {"x = 20 + 1", 2}) =~ ~r/\n21\n/
    Pty.line(pty, "[x,")
    Pty.await!(pty, "...(#{agent.node})2>")
    assert ask(pty, agent, {"1]", 3}) =~ ~r/\n\[21, 1\]\n/
    assert ask(pty, agent, {"v() |> Enum.sum()", 4}) =~ ~r/\n22\n/
    assert ask(pty, agent, {"{v(1), v(-2)}", 5}) =~ ~r/\n\{21, \[21, 1\]\}\n/
    assert ask(pty, agent, {"\"é\" <> \"漢\"", 6}) =~ ~s("é漢")
    assert ask(pty, agent, {"send(self(), :x)", 7}) =~ ~r/\n:x\n/
    assert ask(pty, agent, {"flush()", 8}) =~ ~r/\n:x\n:ok\n/
    assert ask(pty, agent, {"nope", 8}) =~ ~r/undefined variable/
    assert ask(pty, agent, {"Otturnaut.AppState.list()", 9}) =~ ~r/\n\[\]\n/
    assert ask(pty, agent, {"%Otturnaut.Deployment{app_id: \"x\"}.status", 10}) =~ ~r/\n:pending\n/
    assert ask(pty, agent, {"h Otturnaut.AppState.get/1", 11}) =~ "Otturnaut.AppState.get(app_id"
  end

  if @modern do
    test "Tab completes", %{agent: agent} do
      pty = open!(agent)
      Pty.type(pty, "Otturnaut.AppSt\t")
      Pty.await!(pty, "Otturnaut.AppState")
      Pty.type(pty, ".li\t")
      Pty.await!(pty, ~r/\.list/)
      Pty.type(pty, "()\r")
      Pty.await!(pty, prompt(agent, 2))
      Pty.type(pty, "Otturnaut.AppState.update\t")
      Pty.await!(pty, "update_status/")
    end
  end

  test "Ctrl-\\ leaves, and the shell is gone from the agent", %{agent: agent} do
    pty = open!(agent)
    await_shells(agent, 1)
    Pty.type(pty, <<28>>)
    Pty.await_end!(pty)
    await_shells(agent, 0)
  end

  test "Ctrl-G and q leave", %{agent: agent} do
    pty = open!(agent)
    Pty.type(pty, <<7>>)
    Pty.await!(pty, "-->")
    Pty.type(pty, "q\r")
    Pty.await_end!(pty)
    await_shells(agent, 0)
  end

  test "Ctrl-C twice leaves", %{agent: agent} do
    pty = open!(agent)
    Pty.type(pty, <<3>>)
    Pty.await!(pty, "(a)bort")
    Pty.type(pty, <<3>>)
    Pty.await_end!(pty)
    await_shells(agent, 0)
  end

  test "exit says how to leave", %{agent: agent} do
    pty = open!(agent)
    assert ask(pty, agent, {"exit", 1}) =~ "Ctrl-"
  end

  test "within an expression exit is a part of it, in the agent's own remote as well", %{agent: agent} do
    for word <- ["exit", "quit()"] do
      pty = own_remote!(agent)
      Pty.line(pty, "[1,")
      Pty.await!(pty, "...(#{agent.node})1>")
      Pty.line(pty, word)
      Pty.await!(pty, "...(#{agent.node})1>")
      Pty.line(pty, "#iex:break")
      Pty.await!(pty, "incomplete expression")
      Pty.line(pty, word)
      Pty.await_end!(pty)
    end
  end

  test "erl -remsh comes to the same shell", %{agent: agent} do
    pty = open!(agent, "erl")
    assert ask(pty, agent, {"1 + 1", 2}) =~ ~r/\n2\n/
  end

  test "two shells have variables of their own", %{agent: agent} do
    {one, other} = {open!(agent), open!(agent)}
    assert ask(one, agent, {"x = 1", 2}) =~ ~r/\n1\n/
    assert ask(other, agent, {"x", 1}) =~ "undefined variable"
    assert ask(other, agent, {"x = 2", 2}) =~ ~r/\n2\n/
    assert ask(one, agent, {"x", 3}) =~ ~r/\n1\n/
  end

  test "a long call hinders no other shell and ends with its terminal", %{agent: agent} do
    {busy, other} = {open!(agent), open!(agent)}
    Pty.line(busy, "Process.sleep(50_000)")
    assert ask(other, agent, {"1 + 1", 2}) =~ ~r/\n2\n/
    await_shells(agent, 2)
    Pty.type(busy, <<28>>)
    await_shells(agent, 1)
  end

  test "a terminal that goes without a word takes its shell along", %{agent: agent} do
    pty = open!(agent)
    await_shells(agent, 1)
    Pty.close(pty)
    await_shells(agent, 0)
  end

  test "an agent that is to stop tells its shells and waits for none" do
    agent = own_agent!()
    {open, busy} = {open!(agent), open!(agent)}
    Pty.line(busy, "Process.sleep(50_000)")
    began = System.monotonic_time(:millisecond)
    assert Agent.stop(agent) == 0
    assert System.monotonic_time(:millisecond) - began < 2_000
    Pty.await!(open, ~r/the agent ends|terminated|ERROR/)
  end
end
