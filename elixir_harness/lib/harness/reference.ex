defmodule Harness.Reference do
  @moduledoc """
  The BEAM reference node, as an operating system process. Its modules are compiled into a directory that this VM never
  loads from: they have the names of what the suite calls on the other node, and must not be found on this one.
  """

  alias Harness.{OsProcess, Ports, Wait}

  defstruct [:process, :node, :short, :range]

  @sources Path.expand("../../reference", __DIR__)
  @beams Path.expand("../../_build/otp#{System.otp_release()}/reference", __DIR__)

  @doc "Compiles what the node runs; once before the first is started."
  def build! do
    File.mkdir_p!(@beams)
    args = ["-o", @beams, "--warnings-as-errors" | Path.wildcard(Path.join(@sources, "*.ex"))]
    {output, status} = System.cmd("elixirc", args, stderr_to_stdout: true)
    if status != 0, do: raise("the reference does not compile:\n#{output}")
  end

  @doc "Options as those of `Harness.Target.start!/1`."
  def start!(opts \\ []) do
    host = if opts[:short], do: "localhost", else: "127.0.0.1"
    node = :"reference_#{Harness.Agent.unique()}@#{host}"
    run!(%__MODULE__{node: node, short: opts[:short], range: Ports.range()}, opts)
  end

  def restart!(%__MODULE__{} = reference), do: run!(reference, [])

  defp run!(reference, opts) do
    reference = %{reference | process: OsProcess.start("elixir", args: args(reference))}
    if Keyword.get(opts, :await, true), do: await!(reference)
    reference
  end

  defp args(%{node: node, range: range} = reference) do
    name = if reference.short, do: "--sname", else: "--name"
    code = "Otturnaut.Reference.start(#{inspect(range)})"
    cookie = "#{Node.get_cookie()}"
    [name, "#{node}", "--cookie", cookie, "--hidden", "--erl", "-noinput", "-pa", @beams, "-e", code]
  end

  defp await!(reference) do
    Wait.until("#{reference.node} to be ready", fn ->
      if status = OsProcess.exit_status(reference.process) do
        raise "the reference ended with #{status}:\n#{OsProcess.log(reference.process)}"
      end

      is_pid(:rpc.call(reference.node, :erlang, :whereis, [Otturnaut.Command.Supervisor]))
    end)
  end
end
